//! `make contract`: writes the description of the API to `shared/openapi.json`. A test fails if that
//! file is stale.

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/openapi.json");
    match fs::write(&file, shared::contract::document()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contract: {}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}
