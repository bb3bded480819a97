//! `headroom parameters`: every value that a stage's deployment gives the template's parameters.

use std::{collections::BTreeMap, error::Error, process::ExitCode};

use clap::Args;
use shared::operator::template::{Parameter, Template};

use crate::{
    deployment::{Deployment, known},
    format::{Answer, Format, texts},
};

const AFTER_HELP: &str = "\
A parameter that is not given has its default. In JSON it stands there, too: SAM would keep the value
of an earlier deployment otherwise, which nothing has checked. JSON is what `sam deploy
--parameter-overrides file://FILE` reads, passwords included; the other formats hide values with NoEcho.

Exit status: 0 every parameter has a value, 2 one has none, or the command line or a file is wrong.

Examples:
  headroom parameters --samconfig --config-env prod
  headroom parameters AWS::StackName --samconfig --config-env prod
  headroom parameters --samconfig --config-env prod --architecture arm64 --format json > parameters.json";

/// The parameter that says what the functions are built for.
const ARCHITECTURE: &str = "Architecture";

/// What samconfig.toml says beside the template's parameters, and its keys there.
const OF_THE_STAGE: [(&str, &str); 2] =
    [("AWS::StackName", "stack_name"), ("AWS::Region", "region")];

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    deployment: Deployment,

    /// Print this parameter's value alone; AWS::StackName and AWS::Region are the stage's.
    #[arg(value_name = "NAME", conflicts_with = "format")]
    name: Option<String>,
    /// What the functions are built for: the parameter Architecture, which nothing else may give then.
    #[arg(long, value_name = "ARCHITECTURE")]
    architecture: Option<String>,
    /// What comes out on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, Box<dyn Error>> {
    let mut template = arguments.deployment.read()?;
    let mut given = arguments.deployment.given()?;
    if let Some(architecture) = &arguments.architecture {
        let before = given.insert(ARCHITECTURE.to_owned(), architecture.clone());
        if before.is_some() {
            return Err(
                "what the functions are built for is said once, and not as a parameter: \
                        make deploy ARCH=x86_64"
                    .into(),
            );
        }
        for parameter in &mut template.parameters {
            if parameter.name == ARCHITECTURE {
                parameter.value = Some(architecture.clone());
            }
        }
    }
    known(&template, &given)?;
    let of_the_stage = OF_THE_STAGE.map(|(name, _)| Parameter {
        name: name.to_owned(),
        value: given.get(name).cloned(),
        secret: false,
    });
    let text = match &arguments.name {
        Some(name) => one(name, &of_the_stage, &template)?,
        None => all(&of_the_stage, &template, arguments.format)?,
    };
    Ok(Answer {
        text,
        verdict: ExitCode::SUCCESS,
    })
}

fn one(
    name: &str,
    of_the_stage: &[Parameter],
    template: &Template,
) -> Result<String, Box<dyn Error>> {
    let mut there = of_the_stage.iter().chain(&template.parameters);
    let Some(parameter) = there.find(|parameter| parameter.name == name) else {
        return Err(format!("the template has no parameter {name}").into());
    };
    match &parameter.value {
        Some(value) => Ok(format!("{value}\n")),
        None => Err(
            match OF_THE_STAGE.iter().find(|(known, _)| *known == name) {
                Some((_, key)) => format!("{name} is not known; give {key} in samconfig.toml"),
                None => missing(&[name]),
            }
            .into(),
        ),
    }
}

fn all(
    of_the_stage: &[Parameter],
    template: &Template,
    format: Format,
) -> Result<String, Box<dyn Error>> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    let mut without = Vec::new();
    for Parameter { name, value, .. } in &template.parameters {
        match value {
            Some(value) => {
                values.insert(name, value);
            }
            None => without.push(name.as_str()),
        }
    }
    if !without.is_empty() {
        return Err(missing(&without).into());
    }
    address_of_iam(&values)?;
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(&values)? + "\n");
    }
    let rows = of_the_stage.iter().chain(&template.parameters).map(
        |Parameter {
             name,
             value,
             secret,
         }| {
            let value = value.as_deref().unwrap_or_default();
            let hidden = *secret && !value.is_empty();
            let shown = if hidden { "(hidden)" } else { value };
            vec![name.clone(), shown.to_owned()]
        },
    );
    Ok(texts(format, &["parameter", "value"], rows.collect()))
}

fn missing(names: &[&str]) -> String {
    let first = names.first().unwrap_or(&"");
    format!(
        "give {} in samconfig.toml or as a parameter; an empty value is {first}=",
        names.join(", ")
    )
}

/// CloudFormation's rules cannot look into a value: without this the functions would find out when
/// they serve.
fn address_of_iam(values: &BTreeMap<&str, &str>) -> Result<(), String> {
    for (name, value) in values {
        let Some(role) = name.strip_suffix("Credentials") else {
            continue;
        };
        let url = format!("{role}Url");
        if value.contains(":rds-db:") && values.get(url.as_str()) == Some(&"") {
            return Err(format!(
                "{name} are IAM's, which know no address: give \
                 {url}=postgresql://USER@HOST:5432/DATABASE?sslmode=verify-full, and no DatabasePooler"
            ));
        }
    }
    Ok(())
}
