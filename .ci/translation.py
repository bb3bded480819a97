"""What SAM makes of the template, as far as a deployment depends on it: a release gives each function a new version, and
Lambda something new to publish in it; and nothing has a name that a second stack would want, too."""

import json
import logging
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# Lambda refuses to publish a version where nothing but these changed.
NOT_PUBLISHED = {"Tags", "ReservedConcurrentExecutions"}
# What the template calls no release, and `make deploy` replaces.
UNSTAMPED = "RELEASE: unstamped"

# It warns of a switch of AWS's own, once for each function.
logging.disable(logging.WARNING)


def translated(text: str) -> dict:
    template = yaml_parse(text)
    # In place of what `sam deploy` uploads.
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/package"
    parameters = {
        name: parameter.get("Default", "given") for name, parameter in template["Parameters"].items()
    }
    return Translator({}, Parser()).translate(template, parameters)["Resources"]


def of_type(resources: dict, kind: str) -> dict:
    return {name: it["Properties"] for name, it in resources.items() if it["Type"] == kind}


def published(function: dict) -> str:
    return json.dumps({key: value for key, value in function.items() if key not in NOT_PUBLISHED}, sort_keys=True)


text = open("template.yaml").read()
now = translated(text)
next_release = translated(text.replace(UNSTAMPED, "RELEASE: 'another'"))
wrong = []

before, after = (of_type(resources, "AWS::Lambda::Function") for resources in (now, next_release))
for name, function in before.items():
    if published(function) == published(after[name]):
        wrong.append(f"{name}: Lambda would publish no version of it for a release")
versions = "AWS::Lambda::Version"
renamed = of_type(next_release, versions).keys() - of_type(now, versions).keys()
if len(renamed) != len(before):
    wrong.append(f"{len(renamed)} of {len(before)} functions get a new version with a release")
schedules = of_type(now, "AWS::Scheduler::Schedule")
wrong += [f"{name} has a name that a second stack cannot have" for name, it in schedules.items() if "Name" in it]

if wrong or not (before and schedules):
    sys.exit("\n".join(wrong or ["the translation has no functions or no schedules"]))
print(f"{len(before)} functions, {len(renamed)} new versions with a release, {len(schedules)} schedules without a name")
