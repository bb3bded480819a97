//! What each request leaves in the log, and what must never be there.

use http::Method;
use serde_json::json;

use crate::{
    http::metrics::emf::documents,
    support::clinic::{Clinic, run_test},
};

const OVER: &str = "invocation completed";

#[tokio::test]
async fn each_request_leaves_one_line_and_nothing_personal() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let upcoming = format!("/api/doctors/{doctor}/appointments/upcoming");
        for _ in 0..2 {
            assert_eq!(clinic.get(&format!("{upcoming}?limit=7")).await.status, 200);
        }
        let refused = clinic.get(&format!("{upcoming}?secret=Jane%20Doe")).await;
        assert_eq!(refused.status, 400);

        let lines = clinic.logged("appointments-upcoming", OVER);
        assert_eq!(lines.len(), 3, "{lines:?}");
        let field =
            |name: &str| -> Vec<_> { lines.iter().map(|line| line[name].clone()).collect() };
        assert_eq!(field("cold"), [true, false, false]);
        assert_eq!(field("status"), [200, 200, 400]);
        assert_eq!(field("problem")[2], "bad-request");
        assert!(field("problem")[0].is_null());
        for line in &lines {
            assert_eq!(line["level"], "INFO");
            assert_eq!(line["route"], "GET /api/doctors/{id}/appointments/upcoming");
            assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
            assert_eq!(line["environment"], lines[0]["environment"]);
            assert!(
                line["trace_id"].as_str().unwrap().starts_with("1-"),
                "{line}"
            );
        }
        assert_eq!(lines[2]["request_id"], refused.json()["requestId"]);
        let log = clinic.fleet.logs("appointments-upcoming");
        for line in log {
            for personal in ["limit=7", "secret", "Jane", &doctor.to_string()] {
                assert!(!line.text.contains(personal), "{}", line.text);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_is_not_logged_even_when_everything_else_is() {
    run_test(
        Clinic::open_with("", |fleet| fleet.variable("RUST_LOG", "shared=debug,info")),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let token = clinic.fleet.token("staff", "staff");
            let body = json!({ "doctorId": doctor, "reason": "a-private-reason", "nonsense": 1 });
            let reply = clinic
                .send(
                    Method::POST,
                    "/api/appointments",
                    Some(&token),
                    &[],
                    Some(&body),
                )
                .await;
            assert_eq!(reply.status, 400);
            assert_eq!(clinic.logged("appointments", OVER).len(), 1);
            for line in clinic.fleet.logs("appointments") {
                assert!(!line.text.contains("a-private-reason"), "{}", line.text);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn the_level_is_the_templates_and_a_functions_own_wins() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .parameter("LogLevel", "warn")
                .function_variable("health", "RUST_LOG", "info")
        }),
        async |clinic| {
            for path in ["/api/doctors", "/api/openapi.json", "/api/live"] {
                assert_eq!(clinic.get(path).await.status, 200);
            }
            assert!(clinic.logged("doctors", OVER).is_empty());
            assert!(clinic.logged("openapi", OVER).is_empty());
            assert_eq!(clinic.logged("health", OVER).len(), 1);
            // Metrics do not vanish with the log.
            assert_eq!(documents(clinic, "doctors").len(), 1);
        },
    )
    .await;
}
