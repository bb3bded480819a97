//! Whatever is sent, the API answers as it is described, and never with a failure of its own.

use std::time::Duration;

use fleet::{
    fuzz::Trial,
    sample::{self, FIRST_DOCTOR, Size},
};
use serde_json::json;
use shared::clock;
use uuid::Uuid;

use crate::clinic::Clinic;

/// The seed of the sample clinic and, in `make test`, of what is tried on it.
const SEED: u32 = 1;
/// For each role and seed; nobody waits for a fuzzer that hangs.
const LIMIT: Duration = Duration::from_secs(1200);

/// Tries a fleet with the sample clinic as each role, until so many cases were made up: with this
/// seed first, then with the next ones.
async fn fuzz(cases: u64, examples: u32, first_seed: u32) {
    let mut clinic = Clinic::open().await;
    let now = clock::now().into();
    sample::generate(&mut clinic.admin, Size::Small, SEED.into(), now, |_, _| {})
        .await
        .expect("a sample clinic");
    let of_the_doctor = async |clinic: &mut Clinic, column: &'static str| {
        let rows = format!(
            "select {column} from appointments where doctor_id = $1 order by starts_at desc limit 20"
        );
        sqlx::query_scalar::<_, Uuid>(sqlx::AssertSqlSafe(rows))
            .bind(FIRST_DOCTOR)
            .fetch_all(&mut clinic.admin)
            .await
            .expect("rows")
    };
    let appointments = of_the_doctor(&mut clinic, "id").await;
    let patients = of_the_doctor(&mut clinic, "patient_id").await;
    let ids = json!({
        "appointments": appointments,
        "doctors": [FIRST_DOCTOR],
        "patients": patients,
    });
    let tokens = [
        ("staff", clinic.fleet.token("staff", "staff")),
        ("doctor", clinic.doctor_token(FIRST_DOCTOR).await),
        ("patient", clinic.patient_token(patients[0]).await),
    ];

    let (mut tried, mut seed) = (0, first_seed);
    while tried < cases {
        for (role, token) in &tokens {
            let trial = Trial {
                token,
                ids: &ids,
                examples,
                seed,
            };
            let outcome = tokio::time::timeout(LIMIT, trial.run(&clinic.fleet)).await;
            let outcome = outcome.expect("an end").expect("a trial");
            println!("{role}, seed {seed}: {} cases", outcome.cases);
            if let Some(failures) = outcome.failures {
                panic!("as {role}, with seed {seed}:\n{failures}");
            }
            tried += outcome.cases;
        }
        seed += 1;
    }
    println!("{tried} cases");
    clinic.close().await;
}

#[tokio::test]
async fn a_little_of_everything() {
    fuzz(1, 2, SEED).await;
}

/// `make fuzz`: other seeds each time.
#[tokio::test]
#[ignore = "takes minutes; `make fuzz`"]
async fn ten_thousand_cases_and_more() {
    fuzz(10_000, 60, rand::random_range(1..1_000_000)).await;
}
