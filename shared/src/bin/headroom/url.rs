//! `--database-url`: where a server is asked.

use std::error::Error;

use shared::{config::database_url::DatabaseUrl, database::credentials};
use tokio::runtime::{Builder, Runtime};

/// For the little that is asked.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The URL as given, or, where none is, what the functions log in with.
pub(crate) fn read(text: &str, runtime: &Runtime) -> Result<DatabaseUrl, Box<dyn Error>> {
    if text.is_empty() {
        let url = runtime.block_on(credentials::application());
        return Ok(url.map_err(|error| error.explanation())?);
    }
    let url = DatabaseUrl::parse(text);
    Ok(url.map_err(|error| format!("--database-url: {error}"))?)
}
