//! A client that polls is told in a few bytes that nothing has changed.

use http::Method;

use crate::support::{
    clinic::{Clinic, run_test, where_it_is_noon},
    probe::{Reply, staff},
};

async fn ask(clinic: &Clinic, path: &str, known: &str) -> Reply {
    let token = staff(&clinic.fleet);
    let known = [("if-none-match", known)];
    clinic
        .send(Method::GET, path, Some(&token), &known, None)
        .await
}

fn tag(reply: &Reply) -> String {
    reply.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_304_and_one_that_has_is_not() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", &where_it_is_noon()).await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        for list in ["today", "upcoming"] {
            clinic.sql("delete from appointments").await;
            let path = format!("/api/doctors/{doctor}/appointments/{list}");
            let empty = clinic.get(&path).await;
            assert_eq!(empty.status, 200);
            assert!(tag(&empty).starts_with("W/\""), "{}", tag(&empty));

            for known in [
                tag(&empty),
                format!("\"another\", {}", tag(&empty)),
                "*".to_owned(),
            ] {
                let same = ask(clinic, &path, &known).await;
                assert_eq!((same.status.as_u16(), same.text()), (304, ""), "{known}");
                assert_eq!(tag(&same), tag(&empty));
            }

            // Later today, so that both lists change.
            let from = "now() + interval '1 hour'";
            clinic.visits(doctor, patient, from, 1, "scheduled").await;
            let booked = ask(clinic, &path, &tag(&empty)).await;
            assert_eq!(booked.status, 200);
            assert_eq!(booked.json()["data"].as_array().map(Vec::len), Some(1));
            assert_ne!(tag(&booked), tag(&empty));
            assert_eq!(ask(clinic, &path, &tag(&booked)).await.status, 304);

            clinic
                .sql("update appointments set status = 'confirmed'")
                .await;
            let confirmed = ask(clinic, &path, &tag(&booked)).await;
            assert_eq!(confirmed.json()["data"][0]["status"], "confirmed");
        }
    })
    .await;
}
