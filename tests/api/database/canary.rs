//! While a canary is out, the version before it works on the new schema. Migrations therefore expand
//! first and contract a release later: what the released version asks, in `canary/`, is asked here.
//!
//! At a release, the files of `.sqlx/` replace those in `canary/`.

use std::{fs, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Connection, Executor, PgConnection, SqlSafeStr};

use super::bounded_queries::checked_queries;
use crate::support::clinic::{Clinic, run_test};

/// Files in `canary/`.
const RELEASED: usize = 4;

#[tokio::test]
async fn what_the_released_version_asks_is_answered_by_the_new_schema() {
    run_test(Clinic::open(), async |clinic| {
        let mut application = connect(&clinic.application_url()).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("api/database/canary");
        // What is asked today will be the released version's at the next release.
        let today = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
        let mut asked = 0;
        let files = [folder, today].map(|folder| fs::read_dir(folder).unwrap());
        for entry in files.into_iter().flatten() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let released: Value = serde_json::from_str(&text).unwrap();
            let sql = released["query"].as_str().unwrap().to_owned();
            let now = application
                .describe(AssertSqlSafe(sql.clone()).into_sql_str())
                .await
                .unwrap_or_else(|error| panic!("{error}:\n{sql}"));
            let columns = released["describe"]["columns"].as_array().unwrap();
            assert_eq!(now.columns.len(), columns.len(), "{sql}");
            for (column, then) in now.columns.iter().zip(columns) {
                assert_eq!(column.name(), then["name"], "{sql}");
                let type_info = serde_json::to_value(column.type_info()).unwrap();
                assert_eq!(type_info, then["type_info"], "{sql}");
            }
            // Rights are looked at when it is about to run. It does not: there is nothing that it could be run
            // with, and what it writes would be written.
            let parameters = released["describe"]["parameters"]["Left"]
                .as_array()
                .unwrap();
            let nulls = vec!["null"; parameters.len()].join(", ");
            let arguments = match parameters.len() {
                0 => String::new(),
                _ => format!("({nulls})"),
            };
            let run = format!(
                "prepare released as {sql}; explain execute released {arguments}; deallocate released"
            );
            sqlx::raw_sql(AssertSqlSafe(run))
                .execute(&mut application)
                .await
                .unwrap_or_else(|error| panic!("{error}:\n{sql}"));
            asked += 1;
        }
        assert_eq!(asked, RELEASED + checked_queries());
    }).await;
}

#[expect(clippy::disallowed_methods, reason = "a client beside the application")]
async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}
