"""Every parameter that a stage's deployment gives the template, into a file, and the stage's stack and region, a line each.

Arguments: the stage in samconfig.toml, what the functions are built for, the file, and further parameters as NAME=VALUE.
"""

import json
import os
import shlex
import sys
import tomllib

import yaml


class Template(yaml.SafeLoader):
    """Takes CloudFormation's tags; what they stand for plays no part in the parameters."""


Template.add_multi_constructor("!", lambda loader, tag, node: None)


def section(file: dict, stage: str, command: str) -> dict:
    return file.get(stage, {}).get(command, {}).get("parameters", {})


def pairs(overrides: str | list[str]) -> dict[str, str]:
    """NAME=VALUE, or CloudFormation's older ParameterKey=NAME,ParameterValue=VALUE, in one text or in a list."""
    found = {}
    for word in shlex.split(overrides) if isinstance(overrides, str) else overrides:
        name, equals, value = word.removeprefix("ParameterKey=").partition(
            ",ParameterValue=" if word.startswith("ParameterKey=") else "="
        )
        if not (name and equals):
            sys.exit("parameters are NAME=VALUE, with blanks between, in samconfig.toml and in PARAMETERS")
        found[name] = value
    return found


stage, architecture, path, *given = sys.argv[1:]
with open("samconfig.toml", "rb") as file:
    stages = tomllib.load(file)
if "deploy" not in stages.get(stage, {}):
    sys.exit(f"samconfig.toml has no stage {stage} to deploy")
# As SAM reads it: what stands there for this command takes the place of what stands there for all.
settings = section(stages, stage, "global") | section(stages, stage, "deploy")
for key in ("stack_name", "region"):
    if not settings.get(key):
        sys.exit(f"samconfig.toml has no {key} for the stage {stage}")

wanted = pairs(settings.get("parameter_overrides", "")) | pairs(given)
if "Architecture" in wanted:
    sys.exit("what the functions are built for is said once, and not as a parameter: make deploy ARCH=x86_64")
wanted["Architecture"] = architecture
with open("template.yaml") as file:
    parameters = yaml.load(file, Template)["Parameters"]
unknown = sorted(wanted.keys() - parameters.keys())
if unknown:
    sys.exit(f"the template has no parameter {unknown[0]}; it has: {', '.join(parameters)}")
missing = [name for name, parameter in parameters.items() if name not in wanted and "Default" not in parameter]
if missing:
    sys.exit(f"give {', '.join(missing)} in samconfig.toml or PARAMETERS; empty is {missing[0]}=''")
# What is not given has its default, also where the stack has another value from an earlier deployment, which SAM would
# keep and nobody has checked.
complete = {name: wanted.get(name, str(parameter.get("Default"))) for name, parameter in parameters.items()}

# CloudFormation's rules cannot look into a value; the functions would find out when they serve.
for role in ("Database", "DatabaseOwner", "DatabaseMonitor"):
    if ":rds-db:" in complete[f"{role}Credentials"] and not complete[f"{role}Url"]:
        sys.exit(
            f"{role}Credentials are IAM's, which know no address: "
            f"give {role}Url=postgresql://USER@HOST:5432/DATABASE?sslmode=verify-full, and no DatabasePooler"
        )

with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
    json.dump(complete, file)
print(settings["stack_name"], settings["region"], sep="\n")
