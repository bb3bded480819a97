//! Lists are compressed for clients that ask; what a strong entity tag names is not.

use std::io::Read;

use flate2::read::GzDecoder;
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{Reply, staff},
};

/// Gets a path as staff, saying which encodings are understood.
async fn get(clinic: &Clinic, path: &str, accept: &str) -> Reply {
    let token = staff(&clinic.fleet);
    let accept = [("accept-encoding", accept)];
    clinic
        .send(Method::GET, path, Some(&token), &accept, None)
        .await
}

fn decoded(reply: &Reply) -> Value {
    assert_eq!(reply.headers["content-encoding"], "gzip");
    let mut text = String::new();
    let read = GzDecoder::new(&reply.body[..]).read_to_string(&mut text);
    read.expect("gzip of text");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn a_list_is_compressed_for_a_client_that_asks() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr Ångström", "UTC").await;
        let patient = clinic.patient("Zoë Иванова").await;
        clinic
            .visits(doctor, patient, "'2199-07-01 08:00Z'", 200, "confirmed")
            .await;
        let path = format!("/api/doctors/{doctor}/appointments/upcoming");

        let plain = clinic.get(&path).await;
        assert!(!plain.headers.contains_key("content-encoding"));
        assert_eq!(plain.json()["data"].as_array().map(Vec::len), Some(200));
        for accept in ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1"] {
            let compressed = get(clinic, &path, accept).await;
            assert_eq!(decoded(&compressed), plain.json(), "{accept}");
            assert_eq!(compressed.headers["content-type"], "application/json");
            // A weak tag names both forms, and a client that keeps the one must not be given the other.
            assert_eq!(compressed.headers["etag"], plain.headers["etag"]);
            assert_eq!(compressed.headers["vary"], "accept-encoding");
            assert!(
                compressed.body.len() * 4 < plain.body.len(),
                "{} of {} bytes",
                compressed.body.len(),
                plain.body.len()
            );
        }
        assert_eq!(plain.headers["vary"], "accept-encoding");

        for accept in ["", "identity", "br", "gzip;q=0", "identity;q=0, *;q=0"] {
            let same = get(clinic, &path, accept).await;
            assert!(
                !same.headers.contains_key("content-encoding"),
                "{accept}: {same:?}"
            );
            assert_eq!(
                (same.status.as_u16(), &same.body),
                (200, &plain.body),
                "{accept}"
            );
        }
        let tag = plain.headers["etag"].to_str().unwrap();
        let token = staff(&clinic.fleet);
        let known = [("accept-encoding", "gzip"), ("if-none-match", tag)];
        let known = clinic
            .send(Method::GET, &path, Some(&token), &known, None)
            .await;
        assert_eq!((known.status.as_u16(), known.text()), (304, ""));

        let small = get(clinic, &format!("{path}?limit=1"), "gzip").await;
        assert!(small.body.len() < 1024 && small.json()["page"]["hasMore"] == true);
        let refused = get(clinic, &format!("{path}?limit=0"), "gzip").await;
        assert_eq!(refused.json()["status"], 400, "a problem is not compressed");
    })
    .await;
}

#[tokio::test]
async fn what_a_strong_tag_names_is_not_compressed() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        clinic
            .visits(doctor, patient, "'2199-07-01 08:00Z'", 1, "confirmed")
            .await;
        clinic
            .sql("update appointments set notes = repeat('long ', 2000)")
            .await;
        let id: uuid::Uuid = sqlx::query_scalar("select id from appointments")
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap();
        let path = format!("/api/appointments/{id}");

        let seen = get(clinic, &path, "gzip").await;
        assert!(seen.body.len() > 10_000);
        let is_plain = |reply: &Reply| {
            let headers = &reply.headers;
            !headers.contains_key("content-encoding") && !headers.contains_key("vary")
        };
        assert!(is_plain(&seen), "{:?}", seen.headers);
        let tag = seen.headers["etag"].to_str().unwrap();
        assert!(tag.starts_with('"'), "{tag}");
        let token = staff(&clinic.fleet);
        let headers = [("accept-encoding", "gzip"), ("if-match", tag)];
        let change = json!({ "status": "scheduled" });
        let changed = clinic
            .send(Method::PATCH, &path, Some(&token), &headers, Some(&change))
            .await;
        assert_eq!(
            (changed.status.as_u16(), is_plain(&changed)),
            (200, true),
            "{changed:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_change_of_the_frame_leaves_outside_is_compressed() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        clinic
            .visits(doctor, patient, "'2199-07-01 00:00Z'", 100, "confirmed")
            .await;
        let path = format!("/api/doctors/{doctor}");
        let token = staff(&clinic.fleet);
        let gzip = ("accept-encoding", "gzip");
        let send = async |method: Method, route: &str, headers: &[(&str, &str)], body: Value| {
            let path = format!("{path}/{route}");
            clinic
                .send(method, &path, Some(&token), headers, Some(&body))
                .await
        };
        let outside = |reply: &Reply| {
            let listed = decoded(reply)["affectedAppointments"].take();
            listed.as_array().map(Vec::len)
        };

        let week = json!({ "workingHours": [] });
        let headers = [gzip, ("if-match", "*")];
        let changed = send(Method::PUT, "working-hours", &headers, week.clone()).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(outside(&changed), Some(100));
        // The tag is the doctor's, as it is without compression, and good for the next change.
        let tag = changed.headers["etag"].to_str().unwrap();
        assert_eq!(tag, clinic.get(&path).await.headers["etag"]);
        let headers = [("if-match", tag)];
        let again = send(Method::PUT, "working-hours", &headers, week).await;
        assert_eq!(again.status, 200, "{again:?}");

        let month = json!({ "startsAt": "2199-07-01T00:00:00Z", "endsAt": "2199-08-01T00:00:00Z" });
        let away = send(Method::POST, "time-off", &[gzip], month).await;
        assert_eq!(away.status, 201, "{away:?}");
        assert_eq!(outside(&away), Some(100));
        assert!(!away.headers.contains_key("etag"), "{:?}", away.headers);
    })
    .await;
}
