//! Who the caller is: the ids that a token does not hold.

use serde_json::json;

use crate::support::clinic::run_test;
use crate::support::{clinic::problem, desk::Desk};

const PATH: &str = "/api/me";

#[tokio::test]
async fn callers_learn_their_own_ids() {
    run_test(Desk::open(), async |desk| {
        let doctor = json!({ "id": desk.doctor, "fullName": "Dr. Okafor" });
        let patient = json!({ "id": desk.patient, "fullName": "Zoë Secret" });
        // A caller who is both, and a subject that no row has.
        desk.clinic
            .sql("update patients set subject = (select subject from doctors)")
            .await;
        let subject = format!("doctor-{}", desk.doctor);
        let both = desk.clinic.fleet.token("doctor patient", &subject);
        let as_patient = desk.clinic.fleet.token("patient", &subject);
        let nobody = desk.clinic.fleet.token("patient", "nobody");
        for (token, said) in [
            (&desk.as_staff, json!({ "roles": ["staff"] })),
            (
                &desk.as_doctor,
                json!({ "roles": ["doctor"], "doctor": doctor }),
            ),
            // A role that they do not have shows nothing, whatever the row says.
            (
                &as_patient,
                json!({ "roles": ["patient"], "patient": patient }),
            ),
            (
                &both,
                json!({ "roles": ["doctor", "patient"], "doctor": doctor, "patient": patient }),
            ),
            (&nobody, json!({ "roles": ["patient"] })),
        ] {
            let reply = desk.clinic.get_as(token, PATH).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.json(), said);
        }
        // A caller who is shown a patient, themselves or not, leaves a line.
        let shown = desk.clinic.logged("doctors", "patient data shown");
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(shown[0]["route"], "GET /api/me");
        assert_eq!(shown[0]["patients"], desk.patient.to_string());

        desk.clinic.sql("update doctors set active = false").await;
        let former = desk.clinic.get_as(&desk.as_doctor, PATH).await;
        assert_eq!(former.json(), json!({ "roles": ["doctor"] }));
        let refused = desk.clinic.get_as(&desk.as_doctor, "/api/me?id=1").await;
        problem(&refused, 400, "bad-request");
    })
    .await;
}
