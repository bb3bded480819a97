//! Secrets Manager, Parameter Store and CloudWatch on this machine: moto's server, which answers the same API
//! from memory. It checks no signature.
//!
//! It comes from PyPI.

mod cloudwatch;

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use aws_credential_types::Credentials;
use aws_sdk_cloudwatch::error::DisplayErrorContext;
use aws_sdk_secretsmanager::{config::Region, operation::create_secret::CreateSecretError};
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_http_client::Builder as HttpClient;
use tokio::{net::TcpStream, process::Child};

pub use cloudwatch::CloudWatch;

use crate::{
    database::{self, free_port},
    python,
    spawner::{self, Spawner},
};

/// What is installed: moto, and what the translator of CloudWatch's protocol reads it with.
const PACKAGES: &str = "moto[server]==5.2.5 cbor2==5.7.1";

/// Another process may take a port between the look and the start.
const START_ATTEMPTS: usize = 10;

/// Python reads several hundred files first.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What a function needs to know in order to ask this server; moto takes any key.
const KEY: &str = "test";

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] python::Error),
    /// The server ended right away, or does not answer.
    #[error("moto's server did not start: {0}")]
    Start(String),
    /// It refused what it was told to keep.
    #[error("moto's server refused: {0}")]
    Refused(String),
    /// The file system, or the start of a process, said no.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// No port.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// A running server on a free port of 127.0.0.1. It ends when it is dropped, and on Linux also when
/// the whole process is killed.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    python: PathBuf,
    _process: Child,
    /// Keeps the thread that started the process, to which the kernel ties the process's life.
    spawner: Spawner,
}

impl Moto {
    /// Starts a server; it answers when this returns. Installs it before where it is not installed
    /// yet. Must be called inside a Tokio runtime, which has to outlive it.
    ///
    /// # Errors
    /// When it cannot be installed, and when it does not start.
    pub async fn start() -> Result<Self, Error> {
        let python = python::programs(PACKAGES).await?.join("python3");
        let spawner = Spawner::new().map_err(io_error("cannot start a thread"))?;
        let mut attempts = 1;
        loop {
            let port = free_port()?;
            let port_text = port.to_string();
            let server = ["-m", "moto.server", "-H", "127.0.0.1", "-p", &port_text];
            match start(&spawner, &python, &server, port).await {
                Err(Error::Start(_)) if attempts < START_ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
                Ok(process) => {
                    return Ok(Self {
                        port,
                        python,
                        _process: process,
                        spawner,
                    });
                }
            }
        }
    }

    /// Starts a script beside it, which is told its own port and this server's; its port, and the
    /// process.
    async fn beside(&self, script: &str) -> Result<(u16, Child), Error> {
        let port = free_port()?;
        let arguments = [script, &port.to_string(), &self.port.to_string()];
        let process = start(&self.spawner, &self.python, &arguments, port).await?;
        Ok((port, process))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables that lead a function to a server on this port: this one, or what stands in
    /// front of it.
    pub fn variables(port: u16) -> [(&'static str, String); 3] {
        [
            ("AWS_ENDPOINT_URL", endpoint(port)),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
        ]
    }

    /// Keeps a text under a name in Secrets Manager; the next call for it keeps another one.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn put_secret(&self, name: &str, text: &str) -> Result<(), Error> {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint(self.port))
            .credentials_provider(Credentials::new(KEY, KEY, None, None, KEY))
            .http_client(HttpClient::new().build_http())
            .build();
        let client = aws_sdk_secretsmanager::Client::from_conf(config);
        let create = client.create_secret().name(name).secret_string(text);
        match create
            .send()
            .await
            .map_err(|error| error.into_service_error())
        {
            Ok(_) => Ok(()),
            Err(CreateSecretError::ResourceExistsException(_)) => client
                .put_secret_value()
                .secret_id(name)
                .secret_string(text)
                .send()
                .await
                .map(drop)
                .map_err(|error| Error::Refused(error.into_service_error().to_string())),
            Err(error) => Err(Error::Refused(error.to_string())),
        }
    }

    /// Keeps a text, encrypted, under a name in Parameter Store.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn put_parameter(&self, name: &str, text: &str) -> Result<(), Error> {
        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(aws_sdk_ssm::config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint(self.port))
            .credentials_provider(Credentials::new(KEY, KEY, None, None, KEY))
            .http_client(HttpClient::new().build_http())
            .build();
        aws_sdk_ssm::Client::from_conf(config)
            .put_parameter()
            .name(name)
            .value(text)
            .r#type(ParameterType::SecureString)
            .overwrite(true)
            .send()
            .await
            .map(drop)
            .map_err(|error| Error::Refused(error.into_service_error().to_string()))
    }
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Starts the process and waits until it listens.
async fn start(
    spawner: &Spawner,
    python: &Path,
    arguments: &[&str],
    port: u16,
) -> Result<Child, Error> {
    let mut command = spawner::command(python);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut process = spawner
        .spawn(command)
        .await
        .map_err(io_error("cannot start moto's server"))?;
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        let ended = process.try_wait();
        if let Some(status) = ended.map_err(io_error("cannot wait for moto's server"))? {
            return Err(Error::Start(status.to_string()));
        }
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(process);
        }
        if Instant::now() > deadline {
            return Err(Error::Start("it does not listen".to_owned()));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what, source }
}
