//! Patients: who finds, sees, registers and corrects them.

use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{Reply, staff},
};

async fn post(clinic: &Clinic, token: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    clinic
        .send(
            Method::POST,
            "/api/patients",
            Some(token),
            headers,
            Some(body),
        )
        .await
}

async fn patch(clinic: &Clinic, id: Uuid, etag: Option<&str>, body: &Value) -> Reply {
    let path = format!("/api/patients/{id}");
    let headers: Vec<(&str, &str)> = etag.map(|etag| ("if-match", etag)).into_iter().collect();
    let token = staff(&clinic.fleet);
    clinic
        .send(Method::PATCH, &path, Some(&token), &headers, Some(body))
        .await
}

fn etag(reply: &Reply) -> String {
    reply.headers["etag"].to_str().unwrap().to_owned()
}

/// A patient with this name and this phone number.
async fn with_phone(clinic: &mut Clinic, name: &str, phone: Option<&str>) -> Uuid {
    sqlx::query_scalar("insert into patients (full_name, phone) values ($1, $2) returning id")
        .bind(name)
        .bind(phone)
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap()
}

async fn found(clinic: &Clinic, query: &str) -> Vec<String> {
    let reply = clinic.get(&format!("/api/patients?{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {reply:?}");
    let page = reply.json();
    let rows = page["data"].as_array().unwrap().iter();
    rows.map(|row| row["fullName"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn patients_are_found_by_words_of_the_name_and_parts_of_the_phone() {
    run_test(Clinic::open(), async |clinic| {
        for (name, phone) in [
            ("Anna Müller", Some("+49 (30) 555-012")),
            ("Joanna Smith", Some("0049.30.777")),
            ("李伟", None),
            ("ŽANETA Nováková", Some("12")),
            ("Li Wu", Some("+49 (0)40 1234")),
            ("100% _Sure\\", None),
        ] {
            with_phone(clinic, name, phone).await;
        }
        for (query, names) in [
            ("q=ann", vec!["Anna Müller", "Joanna Smith"]),
            ("q=ANNA%20M", vec!["Anna Müller"]),
            ("q=%C3%BCller", vec!["Anna Müller"]),
            // Two characters: how the name begins.
            ("q=an", vec!["Anna Müller"]),
            ("q=%20an%20", vec!["Anna Müller"]),
            ("q=%E6%9D%8E%E4%BC%9F", vec!["李伟"]),
            // Two digits: how the number begins.
            ("q=12", vec!["ŽANETA Nováková"]),
            ("q=49", vec!["Anna Müller", "Joanna Smith", "Li Wu"]),
            ("q=%2B49", vec!["Anna Müller", "Joanna Smith", "Li Wu"]),
            ("q=%2B49%2040", vec!["Li Wu"]),
            ("q=00", vec![]),
            ("q=55", vec![]),
            ("q=10", vec!["100% _Sure\\"]),
            // Digits alone are compared, however they are punctuated here and there.
            ("q=4930555", vec!["Anna Müller"]),
            ("q=%2B49%2030", vec!["Anna Müller", "Joanna Smith"]),
            ("q=555-012", vec!["Anna Müller"]),
            // Patients do not say the country's code at the desk.
            ("q=030%20555", vec!["Anna Müller"]),
            ("q=040%2F1234", vec!["Li Wu"]),
            ("q=0049%2040%201", vec!["Li Wu"]),
            // The words of a name in any order, and each of them.
            ("q=M%C3%BCller%20Anna", vec!["Anna Müller"]),
            ("q=smith%20j", vec!["Joanna Smith"]),
            ("q=ann%20smith%20x", vec![]),
            ("q=li%20w", vec!["Li Wu"]),
            // Upper and lower case of every script, and letters in pieces, as macOS writes them.
            ("q=%C5%BDaneta", vec!["ŽANETA Nováková"]),
            ("q=NOV%C3%81KOV%C3%81", vec!["ŽANETA Nováková"]),
            ("q=z%CC%8Caneta", vec!["ŽANETA Nováková"]),
            ("q=MU%CC%88LLER", vec!["Anna Müller"]),
            // What means something in a pattern means itself.
            ("q=100%25", vec!["100% _Sure\\"]),
            ("q=1%25%250", vec![]),
            ("q=10__", vec![]),
            ("q=ure%5C", vec!["100% _Sure\\"]),
            ("q=nobody", vec![]),
        ] {
            assert_eq!(found(clinic, query).await, names, "{query}");
        }
        let row = clinic.get("/api/patients?q=anna%20m").await.json()["data"][0].take();
        let id = row["id"].clone();
        assert_eq!(
            row,
            json!({ "id": id, "fullName": "Anna Müller", "phone": "+49 (30) 555-012", "dateOfBirth": null })
        );
    }).await;
}

#[tokio::test]
async fn a_search_goes_on_behind_its_last_row_and_logs_whom_it_showed() {
    run_test(Clinic::open(), async |clinic| {
        for name in ["Ada", "Ada", "Ada", "Adam", "Adele"] {
            with_phone(clinic, name, None).await;
        }
        for term in ["ad", "ada"] {
            let mut shown = Vec::new();
            let mut path = format!("/api/patients?q={term}&limit=2");
            loop {
                let page = clinic.get(&path).await.json();
                for row in page["data"].as_array().unwrap() {
                    shown.push(row["id"].as_str().unwrap().to_owned());
                }
                let Some(cursor) = page["page"]["nextCursor"].as_str() else {
                    break;
                };
                path = format!("/api/patients?q={term}&limit=2&cursor={cursor}");
            }
            let expected = if term == "ad" { 5 } else { 4 };
            assert_eq!(shown.len(), expected, "{term}");
            shown.sort();
            shown.dedup();
            assert_eq!(shown.len(), expected, "{term}: one came twice");
        }
        let lines = clinic.logged("patients", "patient data shown");
        assert_eq!(lines.len(), 5, "{lines:?}");
        for line in &lines {
            assert_eq!(line["route"], "GET /api/patients");
            assert!(!line.to_string().contains("q=") && !line.to_string().contains("Ada"));
        }
        for (query, says) in [
            ("", "q must have at least 2 letters or digits"),
            ("q=a", "q must have at least 2 letters or digits"),
            ("q=%20a%20", "q must have at least 2 letters or digits"),
            ("q=%25%25%25", "q must have at least 2 letters or digits"),
            ("q=___", "q must have at least 2 letters or digits"),
            ("q=ada&limit=51", "from 1 to 50"),
            ("q=ada&name=x", "unknown field `name`"),
            ("q=ada&cursor=x", "cursor must be"),
        ] {
            let reply = clinic.get(&format!("/api/patients?{query}")).await;
            let said = problem(&reply, 400, "bad-request");
            assert!(said["detail"].as_str().unwrap().contains(says), "{said}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_are_whole_also_where_more_fit_than_are_looked_at() {
    run_test(Clinic::open(), async |clinic| {
        // The whole town, in no order; every tenth is an Anna.
        clinic
            .sql(
                "insert into patients (full_name, phone)
                 select case i % 10 when 0 then 'Anna ' else 'Berta ' end || md5(i::text), '+49 30 ' || i
                 from generate_series(1, 3000) i",
            )
            .await;
        let names = "select full_name from patients order by full_name, id";
        let all: Vec<String> = sqlx::query_scalar(names)
            .fetch_all(&mut clinic.admin)
            .await
            .unwrap();
        for (q, fits) in [
            ("%2B49%2030", ""),
            ("493", ""),
            ("49", ""),
            ("an", "Anna "),
            ("berta", "Berta "),
        ] {
            let mut shown: Vec<String> = Vec::new();
            let mut cursor = String::new();
            // To the end of the fewest, and some pages of the others.
            for _ in 0..7 {
                let page = clinic
                    .get(&format!("/api/patients?q={q}{cursor}"))
                    .await
                    .json();
                let names = page["data"].as_array().unwrap().iter();
                shown.extend(names.map(|row| row["fullName"].as_str().unwrap().to_owned()));
                let Some(next) = page["page"]["nextCursor"].as_str() else {
                    break;
                };
                cursor = format!("&cursor={next}");
            }
            let mut expected: Vec<&String> = all.iter().filter(|name| name.starts_with(fits)).collect();
            expected.truncate(350);
            assert_eq!(shown.iter().collect::<Vec<_>>(), expected, "{q}");
        }
    }).await;
}

#[tokio::test]
async fn the_front_desk_registers_and_corrects() {
    run_test(Clinic::open(), async |clinic| {
        let desk = staff(&clinic.fleet);
        let born = json!({
            // The ë in two pieces; it is kept in one.
            "fullName": " Zoe\u{308} Иванова ",
            "phone": "+49 30 1",
            "email": "z@example.org",
            "dateOfBirth": "1980-02-29",
            "subject": "login-1",
        });
        let created = post(clinic, &desk, &[], &born).await;
        assert_eq!(created.status, 201, "{created:?}");
        let location = created.headers["location"].to_str().unwrap().to_owned();
        let id: Uuid = location
            .strip_prefix("/api/patients/")
            .unwrap()
            .parse()
            .unwrap();
        let mut patient = born.clone();
        patient["id"] = json!(id);
        patient["fullName"] = json!("Zoë Иванова");
        assert_eq!(created.json(), patient);

        let seen = clinic.get(&location).await;
        assert_eq!(seen.json(), patient);
        assert_eq!(etag(&seen), etag(&created));
        assert!(etag(&seen).starts_with('"'), "a strong tag");
        let again = clinic
            .send(
                Method::GET,
                &location,
                Some(&desk),
                &[("if-none-match", &etag(&seen))],
                None,
            )
            .await;
        assert_eq!(again.status, 304);

        // Absent stays, null is removed.
        let change = json!({ "fullName": "Zoë Ivanova", "phone": null, "subject": null });
        let changed = patch(clinic, id, Some(&etag(&seen)), &change).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        patient["fullName"] = json!("Zoë Ivanova");
        patient["phone"] = Value::Null;
        patient["subject"] = Value::Null;
        assert_eq!(changed.json(), patient);
        let seen = clinic.get(&location).await;
        assert_eq!((seen.json(), etag(&seen)), (patient, etag(&changed)));
        let nothing = patch(clinic, id, Some(&etag(&seen)), &json!({})).await;
        assert_eq!(
            (nothing.status.as_u16(), etag(&nothing)),
            (200, etag(&seen))
        );

        problem(
            &patch(clinic, id, None, &change).await,
            428,
            "precondition-required",
        );
        let stale = patch(clinic, id, Some("\"old\""), &change).await;
        problem(&stale, 412, "precondition-failed");
        let nobody = patch(clinic, Uuid::nil(), Some("*"), &change).await;
        problem(&nobody, 404, "not-found");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_patient_is_refused_by_name() {
    run_test(Clinic::open(), async |clinic| {
        let desk = staff(&clinic.fleet);
        for (body, says) in [
            (json!({}), "missing field `fullName`"),
            (
                json!({ "fullName": " " }),
                "fullName: it must have 1 to 200",
            ),
            (
                json!({ "fullName": "x".repeat(201) }),
                "fullName: it must have 1 to 200",
            ),
            (
                json!({ "fullName": "A", "phone": "none" }),
                "phone: a phone number must have digits",
            ),
            (
                json!({ "fullName": "A", "phone": "1".repeat(41) }),
                "phone: it must have 1 to 40",
            ),
            (
                json!({ "fullName": "A", "email": "a@b@c" }),
                "email: an email address must have one @",
            ),
            (
                json!({ "fullName": "A", "email": "a@" }),
                "email: it must have 3 to 254",
            ),
            (
                json!({ "fullName": "A", "dateOfBirth": "1899-12-31" }),
                "dateOfBirth: it must be a day",
            ),
            (
                json!({ "fullName": "A", "dateOfBirth": "2999-01-01" }),
                "dateOfBirth: it must be a day",
            ),
            (
                json!({ "fullName": "A", "dateOfBirth": "01.02.1990" }),
                "dateOfBirth: it must be a day",
            ),
            (
                json!({ "fullName": "A", "subject": "" }),
                "subject: it must have 1 to 255",
            ),
            (json!({ "fullName": "A", "age": 7 }), "unknown field `age`"),
        ] {
            let said = problem(&post(clinic, &desk, &[], &body).await, 400, "bad-request");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{body}: {detail}");
        }
        let named = json!({ "fullName": "A" });
        let id = post(clinic, &desk, &[], &named).await.json()["id"].take();
        let id: Uuid = id.as_str().unwrap().parse().unwrap();
        let unnamed = patch(clinic, id, Some("*"), &json!({ "fullName": null })).await;
        let said = problem(&unnamed, 400, "bad-request");
        let detail = said["detail"].as_str().unwrap();
        assert!(detail.contains("fullName: invalid type: null"), "{detail}");
    })
    .await;
}

#[tokio::test]
async fn a_subject_is_one_person() {
    run_test(Clinic::open(), async |clinic| {
        let desk = staff(&clinic.fleet);
        let taken = json!({ "fullName": "A", "subject": "login-1" });
        assert_eq!(post(clinic, &desk, &[], &taken).await.status, 201);
        let other = post(clinic, &desk, &[], &json!({ "fullName": "B" })).await;
        problem(
            &post(clinic, &desk, &[], &taken).await,
            409,
            "subject-taken",
        );
        let id: Uuid = other.json()["id"].as_str().unwrap().parse().unwrap();
        let link = json!({ "subject": "login-1" });
        problem(
            &patch(clinic, id, Some(&etag(&other)), &link).await,
            409,
            "subject-taken",
        );
        assert_eq!(
            etag(&clinic.get(&format!("/api/patients/{id}")).await),
            etag(&other)
        );
    })
    .await;
}

#[tokio::test]
async fn a_registration_that_is_sent_twice_registers_once() {
    run_test(Clinic::open(), async |clinic| {
        let desk = staff(&clinic.fleet);
        let body = json!({ "fullName": "A" });
        let key = [("idempotency-key", "k-1")];
        let first = post(clinic, &desk, &key, &body).await;
        let second = post(clinic, &desk, &key, &body).await;
        assert_eq!(first.status, 201);
        assert_eq!((second.status, &second.body), (first.status, &first.body));
        assert_eq!(second.headers["idempotency-replayed"], "true");
        let patients: i64 = sqlx::query_scalar("select count(*) from patients")
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap();
        assert_eq!(patients, 1);
    })
    .await;
}

#[tokio::test]
async fn a_patient_is_shown_to_themselves_to_their_doctors_and_to_staff() {
    run_test(Clinic::open(), async |clinic| {
        let (doctor, stranger) = (
            clinic.doctor("A", "UTC").await,
            clinic.doctor("B", "UTC").await,
        );
        let (patient, other) = (clinic.patient("P").await, clinic.patient("Q").await);
        clinic
            .visits(doctor, patient, "'2020-01-01 10:00Z'", 1, "cancelled")
            .await;
        let own_doctor = clinic.doctor_token(doctor).await;
        let other_doctor = clinic.doctor_token(stranger).await;
        let own = clinic.patient_token(patient).await;
        let path = format!("/api/patients/{patient}");
        for token in [&own_doctor, &own] {
            let reply = clinic.get_as(token, &path).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let seen = reply.json();
            assert_eq!(seen["fullName"], "P");
            assert!(seen.get("subject").is_none(), "{seen}");
        }
        let seen = clinic.get(&path).await.json();
        assert_eq!(seen["subject"], format!("patient-{patient}"));

        // Not even that there is one.
        problem(&clinic.get_as(&other_doctor, &path).await, 404, "not-found");
        let others = format!("/api/patients/{other}");
        for token in [&own, &own_doctor] {
            problem(&clinic.get_as(token, &others).await, 404, "not-found");
        }
        let lines = clinic.logged("patients", "patient data shown");
        assert_eq!(lines.len(), 3, "{lines:?}");

        for token in [&own, &own_doctor] {
            problem(
                &clinic.get_as(token, "/api/patients?q=pp").await,
                403,
                "forbidden",
            );
            let body = json!({ "fullName": "X" });
            problem(&post(clinic, token, &[], &body).await, 403, "forbidden");
            let refused = clinic
                .send(
                    Method::PATCH,
                    &path,
                    Some(token),
                    &[("if-match", "*")],
                    Some(&body),
                )
                .await;
            problem(&refused, 403, "forbidden");
        }
    })
    .await;
}
