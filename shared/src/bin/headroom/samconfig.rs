//! `samconfig.toml`: the parameters that `sam deploy` would give the template.

use std::{fs, path::Path};

use shared::operator::template::Parameters;
use toml::{Table, Value};

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SamconfigError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
    /// It is not TOML. The message of the parser would show the line, and a password in it.
    #[error("{path} is not TOML: {message}")]
    Toml { path: String, message: String },
    /// It has no such stage.
    #[error("{path} has no stage `{stage}`; it has: {there_are}")]
    Stage {
        path: String,
        stage: String,
        there_are: String,
    },
    /// The parameters are not written as `sam` reads them.
    #[error(
        "{path}: parameter_overrides of `{stage}` must be \"NAME=VALUE NAME=VALUE\" or a list of \"NAME=VALUE\""
    )]
    Overrides { path: String, stage: String },
}

/// The parameters of one stage, with the region and the stack's name where the file has
/// them.
pub(crate) fn read(path: &Path, stage: &str) -> Result<Parameters, SamconfigError> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| SamconfigError::File {
        path: shown.clone(),
        source,
    })?;
    parse(&text, &shown, stage)
}

fn parse(text: &str, path: &str, stage: &str) -> Result<Parameters, SamconfigError> {
    let file: Table = text
        .parse()
        .map_err(|error: toml::de::Error| SamconfigError::Toml {
            path: path.to_owned(),
            message: error.message().to_owned(),
        })?;
    let Some(chosen) = file.get(stage).and_then(Value::as_table) else {
        let stages: Vec<&str> = file
            .iter()
            .filter(|(_, value)| value.is_table())
            .map(|(name, _)| name.as_str())
            .collect();
        return Err(SamconfigError::Stage {
            path: path.to_owned(),
            stage: stage.to_owned(),
            there_are: stages.join(", "),
        });
    };
    // As SAM reads them: what is said for the command takes the place of what is said for all
    // commands, each key as a whole.
    let said = |key: &str| {
        let mut commands = ["deploy", "global"].into_iter();
        commands.find_map(|command| chosen.get(command)?.get("parameters")?.get(key))
    };
    let mut parameters = Parameters::new();
    for (key, pseudo) in [("region", "AWS::Region"), ("stack_name", "AWS::StackName")] {
        if let Some(value) = said(key).and_then(Value::as_str) {
            parameters.insert(pseudo.to_owned(), value.to_owned());
        }
    }
    if let Some(overrides) = said("parameter_overrides") {
        let overrides = pairs(overrides).ok_or_else(|| SamconfigError::Overrides {
            path: path.to_owned(),
            stage: stage.to_owned(),
        })?;
        parameters.extend(overrides);
    }
    Ok(parameters)
}

/// `NAME=VALUE`, in one string or in a list; or CloudFormation's older
/// `ParameterKey=NAME,ParameterValue=VALUE`.
fn pairs(overrides: &Value) -> Option<Vec<(String, String)>> {
    let words = match overrides {
        Value::String(text) => shell_words::split(text).ok()?,
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    words
        .iter()
        .map(|word| {
            let (name, value) = match word.strip_prefix("ParameterKey=") {
                Some(rest) => rest.split_once(",ParameterValue=")?,
                None => word.split_once('=')?,
            };
            (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Parameters, String> {
        parse(text, "samconfig.toml", "prod").map_err(|error| error.to_string())
    }

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn overrides_are_read_as_sam_writes_them() {
        for overrides in [
            r#""Most=\"30\" Name='a b' Url=x?y=z""#,
            r#"["Most=30", "Name=a b", "Url=x?y=z"]"#,
            r#""ParameterKey=Most,ParameterValue=30 ParameterKey=Name,ParameterValue='a b' Url=x?y=z""#,
        ] {
            let text = format!("[prod.deploy.parameters]\nparameter_overrides = {overrides}");
            assert_eq!(
                read(&text).unwrap(),
                parameters(&[("Most", "30"), ("Name", "a b"), ("Url", "x?y=z")]),
                "{overrides}"
            );
        }
    }

    #[test]
    fn each_key_of_the_command_replaces_that_of_all_commands() {
        let text = "
            version = 0.1
            [prod.global.parameters]
            stack_name = 'clinic'
            region = 'eu-west-1'
            parameter_overrides = 'Most=1 Least=1'
            [prod.deploy.parameters]
            region = 'eu-central-1'
            parameter_overrides = 'Most=2'";
        let expected = parameters(&[
            ("AWS::Region", "eu-central-1"),
            ("AWS::StackName", "clinic"),
            ("Most", "2"),
        ]);
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn errors_say_what_there_is_and_no_value() {
        let error = read("[default.deploy.parameters]\n[dev.deploy.parameters]").unwrap_err();
        assert!(error.contains("it has: default, dev"), "{error}");
        for overrides in ["7", "'A=secret \"unbalanced'", "['nothing-secret']"] {
            let text = format!("[prod.deploy.parameters]\nparameter_overrides = {overrides}");
            let error = read(&text).unwrap_err();
            assert!(
                error.contains("NAME=VALUE") && !error.contains("secret"),
                "{error}"
            );
        }
        let error = read("[prod]\nparameter_overrides = \"secret").unwrap_err();
        assert!(
            error.contains("not TOML") && !error.contains("secret"),
            "{error}"
        );
    }
}
