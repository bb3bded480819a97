//! What is deployed, as the command line says it: a template and its parameters.

use std::{error::Error, path::PathBuf};

use clap::Args;
use shared::operator::template::{self, Parameters, Template};

use crate::samconfig;

#[derive(Args)]
pub(crate) struct Deployment {
    /// The template that is deployed.
    #[arg(long, value_name = "FILE", default_value = "template.yaml")]
    template: PathBuf,
    /// A value for one of the template's parameters, or for a pseudo parameter such as AWS::Region.
    /// May be repeated; wins over --samconfig.
    #[arg(long = "parameter", short, value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Take the parameters from parameter_overrides in this file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "samconfig.toml")]
    samconfig: Option<PathBuf>,
    /// The stage in that file, SAM's --config-env.
    #[arg(
        long = "config-env",
        value_name = "STAGE",
        default_value = "default",
        requires = "samconfig"
    )]
    stage: String,
}

impl Deployment {
    /// Reads the files.
    pub(crate) fn read(&self) -> Result<Template, Box<dyn Error>> {
        let mut given = match &self.samconfig {
            Some(file) => samconfig::read(file, &self.stage)?,
            None => Parameters::new(),
        };
        let asked = pairs(&self.parameters)?;
        given.extend(asked.clone());
        let template = template::read(&self.template, &given)?;
        known(&template, &asked)?;
        Ok(template)
    }
}

/// `NAME=VALUE`. Read here and not by clap, whose error would repeat the value.
fn pairs(parameters: &[String]) -> Result<Parameters, Box<dyn Error>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("--parameter is given as NAME=VALUE".into()),
    };
    parameters.iter().map(pair).collect()
}

/// A parameter that the template does not have is a misspelling.
fn known(template: &Template, asked: &Parameters) -> Result<(), Box<dyn Error>> {
    let unknown = asked
        .keys()
        .find(|name| !name.starts_with("AWS::") && !template.parameters.contains(name));
    match unknown {
        None => Ok(()),
        Some(name) => Err(format!(
            "the template has no parameter {name}; it has: {}",
            template.parameters.join(", ")
        )
        .into()),
    }
}
