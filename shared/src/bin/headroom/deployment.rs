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
    ///
    /// # Errors
    /// Also if a parameter of the command line is not one of the template's.
    pub(crate) fn read(&self) -> Result<Template, Box<dyn Error>> {
        let template = template::read(&self.template, &self.given()?)?;
        known(&template, &pairs(&self.parameters)?)?;
        Ok(template)
    }

    /// The values that are given for parameters, by the command line or by samconfig.toml.
    pub(crate) fn given(&self) -> Result<Parameters, Box<dyn Error>> {
        let mut given = match &self.samconfig {
            Some(file) => samconfig::read(file, &self.stage)?,
            None => Parameters::new(),
        };
        given.extend(pairs(&self.parameters)?);
        Ok(given)
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

/// Refuses a parameter that the template does not have: it is a misspelling.
pub(crate) fn known(template: &Template, given: &Parameters) -> Result<(), Box<dyn Error>> {
    let names: Vec<&str> = template
        .parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    let unknown = given
        .keys()
        .find(|name| !name.starts_with("AWS::") && !names.contains(&name.as_str()));
    match unknown {
        None => Ok(()),
        Some(name) => Err(format!(
            "the template has no parameter {name}; it has: {}",
            names.join(", ")
        )
        .into()),
    }
}
