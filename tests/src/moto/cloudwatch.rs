//! CloudWatch on this machine: moto's, behind a translator of the one protocol that its SDK for
//! Rust speaks and moto does not.

use aws_sdk_cloudwatch::{Client, Config, config::BehaviorVersion, types::MetricDatum};
use aws_smithy_http_client::Builder as HttpClient;
use tokio::process::Child;

use super::{Credentials, DisplayErrorContext, Error, KEY, Moto, Region, endpoint};

/// It ends when it is dropped.
#[derive(Debug)]
pub struct CloudWatch {
    port: u16,
    _process: Child,
    /// Where the metrics are.
    _moto: Moto,
}

impl CloudWatch {
    /// Starts one without any metrics.
    ///
    /// # Errors
    /// As for [`Moto::start`].
    pub async fn start() -> Result<Self, Error> {
        let moto = Moto::start().await?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/moto/cloudwatch.py");
        let (port, process) = moto.beside(script).await?;
        Ok(Self {
            port,
            _process: process,
            _moto: moto,
        })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Keeps values of metrics.
    ///
    /// # Errors
    /// When the server does not take them.
    pub async fn put_metrics(&self, namespace: &str, data: Vec<MetricDatum>) -> Result<(), Error> {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint(self.port))
            .credentials_provider(Credentials::new(KEY, KEY, None, None, KEY))
            .http_client(HttpClient::new().build_http())
            .build();
        Client::from_conf(config)
            .put_metric_data()
            .namespace(namespace)
            .set_metric_data(Some(data))
            .send()
            .await
            .map(drop)
            .map_err(|error| Error::Refused(DisplayErrorContext(error).to_string()))
    }
}
