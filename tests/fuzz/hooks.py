"""What schemathesis cannot know about this API: which ids there are, and what is API Gateway's to say."""

import datetime
import json
import os
import re
import zlib
from urllib.parse import parse_qs, urlsplit

import schemathesis

# Ids of rows that there are, by what they are of; and times when the doctor is free.
IDS = json.loads(os.environ["FUZZ_IDS"])

# Rules about two values at once, or about a value's content, which a schema has no words for. A request that
# breaks one of them is well formed all the same.
BEYOND_THE_SCHEMA = (
    "cursor must be the nextCursor of a page",
    "endsAt must be after startsAt",
    "startsAt must lie in the years",
    "startsAt and endsAt must be whole seconds",
    "to must be 1 to",
    "q must have at least 2 letters or digits",
    # To JSON Schema 3.0 is an integer, to the functions it is none.
    "invalid type: floating point",
    "it must be a day from 1900-01-01 to today",
)

# A day of the wrong year; that it is a day at all, the schema says.
WRONG_YEAR = re.compile("(from|to) must be a day such as .*, in the years ([0-9]{4}) to ([0-9]{4})$")

DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME = re.compile(DAY.pattern + "[Tt].*[Zz0-9]")
UUID = re.compile("([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def known(kind, value):
    """An id that there is in place of about every second one that was made up."""
    made_up = isinstance(value, str) and UUID.fullmatch(value)
    if not made_up or kind not in IDS:
        return value
    number = int(made_up[1], 16)
    return value if number % 2 else IDS[kind][number // 2 % len(IDS[kind])]


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    # /api/doctors/{id}/…
    kind = context.operation.path.split("/")[2]
    return {name: known(kind if name == "id" else name, value) for name, value in (path_parameters or {}).items()}


@schemathesis.hook
def map_query(context, query):
    # Of days that are made up, hardly two are near each other, or when anything happens at the clinic.
    days = [(query or {}).get(name) for name in ("from", "to")]
    if all(isinstance(day, str) and DAY.fullmatch(day) for day in days):
        number = int(days[1][-2:])
        if number % 2:
            first = datetime.date.today() - datetime.timedelta(number)
            query["from"], query["to"] = str(first), str(first + datetime.timedelta(31))
    return query


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        for name, kind in (("doctorId", "doctors"), ("patientId", "patients")):
            if name in body:
                body[name] = known(kind, body[name])
        times = [body.get(name) for name in ("startsAt", "endsAt")]
        if "doctorId" in body and all(isinstance(time, str) and TIME.fullmatch(time) for time in times):
            # The doctor is free at hardly any time that is made up.
            number = zlib.crc32(times[0].encode())
            if number % 2:
                body.update(IDS["slots"][number // 2 % len(IDS["slots"])])
    return body


@schemathesis.hook
def map_headers(context, headers):
    # A made-up tag is hardly ever the right one; this one always is.
    tag = (headers or {}).get("If-Match")
    if isinstance(tag, str) and tag.startswith('"') and len(tag) % 2:
        headers["If-Match"] = "*"
    return headers


def breaches(message):
    """What a request broke on purpose: places and names, None where the message has no name for one."""
    one = re.search(r"parameter `([^`]+)` in (header|query)", message)
    if one:
        return [(one[2], one[1])]
    # Several of one place, which is named before them, or of several, which each names for itself.
    place = re.search(r"parameters .* in (header|query)$", message, re.MULTILINE)
    lines = re.findall(r"^ +- (.+)$", message, re.MULTILINE)
    found = [re.search(r"^(?:(header|query): )?.* at /properties/([^/]+)", line) for line in lines]
    return [match and (match[1] or place and place[1], match[2]) for match in found]


def is_tolerated(breach, response):
    """A tag that is none is ignored (RFC 9110, section 13.1.2), and a parameter without a value is absent."""
    place, name = breach or (None, None)
    if place == "query":
        sent = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True).get(name)
        return sent is not None and not any(sent)
    return (place, name) == ("header", "If-None-Match")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one."""
    kind = type(failure).__name__
    if kind == "UnsupportedMethodResponse":
        # API Gateway has no 405: what is no route is 404, whoever asks.
        return response.status_code != 404 or response.json() != {"message": "Not Found"}
    if kind == "RejectedPositiveData" and response.status_code == 400:
        detail = response.json().get("detail", "")
        if day := WRONG_YEAR.search(detail):
            name, first, last = day.groups()
            return first <= (case.query or {}).get(name, first)[:4] <= last
        return not any(rule in detail for rule in BEYOND_THE_SCHEMA)
    if kind == "AcceptedNegativeData":
        broken = breaches(failure.message)
        return not broken or not all(is_tolerated(breach, response) for breach in broken)
    return True
