//! One version of a function: what an environment needs to know to run it.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::now;

/// The account in ARNs and events; AWS's own example number.
pub(crate) const ACCOUNT_ID: &str = "123456789012";

const REGION: &str = "us-east-1";

/// Variables of the developer's shell that reach a function: where programs and temporary files
/// are, and where a build made for coverage writes its counts. Everything else stays outside, as
/// it would be missing on Lambda.
const INHERITED: [&str; 3] = ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"];

/// One version of a function, as deployed.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The function's name.
    pub(crate) function: String,
    /// `$LATEST`, or a number.
    pub(crate) label: String,
    /// What environments run.
    pub(crate) executable: PathBuf,
    /// The template's variables and whatever replaced them.
    pub(crate) variables: BTreeMap<String, String>,
    /// How long one invocation may take.
    pub(crate) timeout: Duration,
    /// Told to the function, not enforced.
    pub(crate) memory_mb: u32,
    /// On Lambda Managed Instances, how many invocations one environment handles at once.
    pub(crate) max_concurrency: Option<u32>,
    /// Whether idle environments are stopped.
    pub(crate) freeze: bool,
}

impl Version {
    /// How many invocations one environment handles at once.
    pub(crate) fn slots(&self) -> usize {
        self.max_concurrency.map_or(1, |most| most.max(1) as usize)
    }

    /// Whether an idle environment is stopped. Those of Lambda Managed Instances are not.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-execution-environment.html>
    pub(crate) fn freezes(&self) -> bool {
        self.freeze && self.max_concurrency.is_none()
    }

    /// Whether an environment is killed when one of its invocations runs out of time. On Lambda
    /// Managed Instances each invocation runs out alone, and the others go on.
    pub(crate) fn ends_with_time_out(&self) -> bool {
        self.max_concurrency.is_none()
    }

    /// How long a process may take from its start to its first poll.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib>
    pub(crate) fn init_limit(&self) -> Duration {
        match self.max_concurrency {
            None => Duration::from_secs(10),
            Some(_) => self.timeout.max(Duration::from_secs(130)),
        }
    }

    /// The function's ARN, with the version as qualifier unless it is the unpublished one.
    pub(crate) fn arn(&self) -> String {
        let function = &self.function;
        let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function}");
        match self.label.as_str() {
            "$LATEST" => arn,
            label => format!("{arn}:{label}"),
        }
    }

    /// The answer to an extension that registers.
    pub(crate) fn describe_to_extension(&self) -> Value {
        json!({
            "functionName": self.function,
            "functionVersion": self.label,
            "handler": HANDLER,
            "accountId": ACCOUNT_ID,
        })
    }

    /// The whole environment of a process: what Lambda sets for an OS-only runtime, then the
    /// function's own variables. Left out are the credentials of the execution role: a test that
    /// needs some gives its own.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>
    pub(crate) fn process_variables(
        &self,
        environment_id: &str,
        runtime_api: SocketAddr,
    ) -> BTreeMap<OsString, OsString> {
        let inherited = inherited();
        let today = now().format("%Y/%m/%d");
        let task_root = self
            .executable
            .parent()
            .map(|folder| folder.display().to_string())
            .unwrap_or_default();
        let kind = match self.max_concurrency {
            Some(_) => "lambda-managed-instances",
            None => "on-demand",
        };
        let mut set = vec![
            ("_HANDLER", HANDLER.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.function.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", self.label.clone()),
            (
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                self.memory_mb.to_string(),
            ),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", kind.to_owned()),
            (
                "AWS_LAMBDA_LOG_GROUP_NAME",
                format!("/aws/lambda/{}", self.function),
            ),
            (
                "AWS_LAMBDA_LOG_STREAM_NAME",
                format!("{today}/[{}]{environment_id}", self.label),
            ),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
            ("LAMBDA_TASK_ROOT", task_root.clone()),
            ("LAMBDA_RUNTIME_DIR", task_root),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        if let Some(most) = self.max_concurrency {
            set.push(("AWS_LAMBDA_MAX_CONCURRENCY", most.to_string()));
        }
        let own = self
            .variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        inherited
            .chain(
                set.into_iter()
                    .map(|(name, value)| (name.into(), value.into())),
            )
            .chain(own)
            .collect()
    }
}

/// An OS-only runtime's handler is whatever the template says; SAM's template says this.
const HANDLER: &str = "bootstrap";

#[expect(
    clippy::disallowed_methods,
    reason = "not configuration: what the machine needs to run any process"
)]
fn inherited() -> impl Iterator<Item = (OsString, OsString)> {
    let value = |name: &str| Some((name.into(), env::var_os(name)?));
    INHERITED.into_iter().filter_map(value)
}
