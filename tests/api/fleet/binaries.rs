//! The functions' executables are found where cargo puts them.

use std::path::Path;

use fleet::Binaries;
use shared::operator::template::{self, Parameters};

#[tokio::test]
async fn every_function_of_the_template_has_an_executable() {
    let binaries = Binaries::shared().await.unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    for function in template::read(&path, &Parameters::new()).unwrap().functions {
        let binary = function.binary.unwrap();
        let executable = binaries.path(&binary).unwrap_or_else(|| {
            let names: Vec<&str> = binaries.names().collect();
            panic!("{}: no `{binary}` among {names:?}", function.logical_id)
        });
        assert!(executable.is_file(), "{}", executable.display());
    }
}
