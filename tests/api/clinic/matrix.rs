//! Who may see and do what: every route, as each kind of caller, with their own and with what is others'.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json};
use shared::{
    clinic::permissions::{Action, Scope, scope},
    clock,
    http::auth::Role,
};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, run_test, where_it_is_noon},
    probe::Reply,
    requests::{NOTES, Prepared, Requests},
};

/// Who asks. Everything that is asked for belongs to the first doctor and the first patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// No token at all.
    Nobody,
    /// A token without any of the clinic's roles.
    Stranger,
    Staff,
    Doctor,
    OtherDoctor,
    /// The first doctor, after they have left.
    FormerDoctor,
    Patient,
    OtherPatient,
}

impl Who {
    /// As what they ask, and whether what they ask for is their own.
    fn role(self) -> Option<(Role, bool)> {
        match self {
            Self::Nobody | Self::Stranger => None,
            Self::Staff => Some((Role::Staff, false)),
            Self::Doctor => Some((Role::Doctor, true)),
            Self::OtherDoctor | Self::FormerDoctor => Some((Role::Doctor, false)),
            Self::Patient => Some((Role::Patient, true)),
            Self::OtherPatient => Some((Role::Patient, false)),
        }
    }

    /// Whether the code's one table lets them.
    fn may(self, action: Action) -> bool {
        self.role()
            .is_some_and(|(role, own)| match scope(role, action) {
                Scope::All => true,
                // Everybody is themselves.
                Scope::Own => own || action == Action::SeeOneself,
                Scope::Nothing => false,
            })
    }
}

const CALLERS: [Who; 8] = [
    Who::Nobody,
    Who::Stranger,
    Who::Staff,
    Who::Doctor,
    Who::OtherDoctor,
    Who::FormerDoctor,
    Who::Patient,
    Who::OtherPatient,
];

/// What is asked of a route, beside the request that [`Requests`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    /// Nothing more.
    AsIs,
    /// A look at the database.
    Deep,
    /// Another time, and nothing else: an appointment is moved.
    OtherTime,
    /// A time in the past, and the word that it shall be all the same.
    Override,
}

use With::{AsIs, Deep, OtherTime, Override};

/// Of each route what it takes to do it, and the statuses in the order of [`CALLERS`]. Notes have no route of
/// their own: a caller who may see them finds them in the appointment.
#[rustfmt::skip]
const MATRIX: [(&str, With, Option<Action>, [u16; 8]); 27] = [
    ("GET /api/live",                                      AsIs, None,                                    [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/openapi.json",                              AsIs, None,                                    [200, 200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/health",                                    AsIs, None,                                    [401, 200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/health",                                    Deep, Some(Action::SeeOperations),             [401, 403, 200, 403, 403, 403, 403, 403]),
    ("GET /api/me",                                        AsIs, Some(Action::SeeOneself),                [401, 403, 200, 200, 200, 200, 200, 200]),
    ("GET /api/doctors",                                   AsIs, Some(Action::SeeDoctors),                [401, 403, 200, 200, 200, 200, 200, 200]),
    ("GET /api/doctors/{id}",                              AsIs, Some(Action::SeeDoctors),                [401, 403, 200, 200, 200, 200, 200, 200]),
    ("GET /api/doctors/{id}/availability",                 AsIs, Some(Action::SeeDoctors),                [401, 403, 200, 200, 200, 200, 200, 200]),
    ("GET /api/doctors/{id}/appointments",                 AsIs, Some(Action::SeeSchedule),               [401, 403, 200, 200, 403, 403, 403, 403]),
    ("GET /api/doctors/{id}/appointments/upcoming",        AsIs, Some(Action::SeeSchedule),               [401, 403, 200, 200, 403, 403, 403, 403]),
    ("GET /api/doctors/{id}/appointments/today",           AsIs, Some(Action::SeeSchedule),               [401, 403, 200, 200, 403, 403, 403, 403]),
    ("GET /api/doctors/{id}/dashboard",                    AsIs, Some(Action::SeeSchedule),               [401, 403, 200, 200, 403, 403, 403, 403]),
    ("PUT /api/doctors/{id}/working-hours",                AsIs, Some(Action::ManageSchedule),               [401, 403, 200, 200, 403, 403, 403, 403]),
    ("POST /api/doctors/{id}/time-off",                    AsIs, Some(Action::ManageSchedule),               [401, 403, 201, 201, 403, 403, 403, 403]),
    ("DELETE /api/doctors/{id}/time-off/{timeOffId}",      AsIs, Some(Action::ManageSchedule),               [401, 403, 204, 204, 403, 403, 403, 403]),
    ("POST /api/appointments",                             AsIs, Some(Action::Book),                      [401, 403, 201, 201, 403, 403, 201, 403]),
    ("POST /api/appointments",                         Override, Some(Action::OverrideHours),             [401, 403, 201, 403, 403, 403, 403, 403]),
    ("GET /api/appointments/{id}",                         AsIs, Some(Action::SeeAppointment),            [401, 403, 200, 200, 404, 404, 200, 404]),
    ("PATCH /api/appointments/{id}",                       AsIs, Some(Action::KeepRecord),                [401, 403, 200, 200, 404, 404, 403, 404]),
    ("PATCH /api/appointments/{id}",                  OtherTime, Some(Action::Move),                      [401, 403, 200, 200, 404, 404, 200, 404]),
    ("PATCH /api/appointments/{id}",                   Override, Some(Action::OverrideHours),             [401, 403, 200, 403, 404, 404, 403, 404]),
    ("POST /api/appointments/{id}/cancel",                 AsIs, Some(Action::Cancel),                    [401, 403, 200, 200, 404, 404, 200, 404]),
    ("GET /api/patients",                                  AsIs, Some(Action::SearchPatients),            [401, 403, 200, 403, 403, 403, 403, 403]),
    ("POST /api/patients",                                 AsIs, Some(Action::KeepPatients),              [401, 403, 201, 403, 403, 403, 403, 403]),
    ("GET /api/patients/{id}",                             AsIs, Some(Action::SeePatient),                [401, 403, 200, 200, 404, 404, 200, 404]),
    ("PATCH /api/patients/{id}",                           AsIs, Some(Action::KeepPatients),              [401, 403, 200, 403, 403, 403, 403, 403]),
    ("GET /api/patients/{id}/appointments",                AsIs, Some(Action::SeePatientAppointments),    [401, 403, 200, 200, 404, 404, 200, 404]),
];

/// Whose answers have patients in them here. A patient's list is about one who is named in the path.
const SHOWS_PATIENTS: [&str; 12] = [
    "GET /api/me",
    "GET /api/doctors/{id}/appointments",
    "GET /api/doctors/{id}/appointments/upcoming",
    "GET /api/doctors/{id}/appointments/today",
    "POST /api/appointments",
    "GET /api/appointments/{id}",
    "PATCH /api/appointments/{id}",
    "POST /api/appointments/{id}/cancel",
    "GET /api/patients",
    "POST /api/patients",
    "GET /api/patients/{id}",
    "PATCH /api/patients/{id}",
];

struct World {
    clinic: Clinic,
    tokens: Vec<(Who, Option<String>)>,
    requests: Requests,
}

impl From<World> for Clinic {
    fn from(world: World) -> Self {
        world.clinic
    }
}

impl World {
    async fn new() -> Self {
        let mut clinic = Clinic::open().await;
        let (doctor, other_doctor) = (
            clinic.doctor("A", &where_it_is_noon()).await,
            clinic.doctor("B", "UTC").await,
        );
        let (patient, other_patient) = (clinic.patient("Pat").await, clinic.patient("Quinn").await);
        // Each has a schedule, and the other patient is on nobody's of the first doctor.
        for (doctor, patient) in [(doctor, patient), (other_doctor, other_patient)] {
            for from in ["now() - interval '1 hour'", "now() + interval '1 hour'"] {
                clinic.visits(doctor, patient, from, 1, "scheduled").await;
            }
        }
        let tokens = vec![
            (Who::Nobody, None),
            (
                Who::Stranger,
                Some(clinic.fleet.token("admins", "stranger")),
            ),
            (Who::Staff, Some(clinic.fleet.token("staff", "staff"))),
            (Who::Doctor, Some(clinic.doctor_token(doctor).await)),
            (Who::FormerDoctor, Some(clinic.doctor_token(doctor).await)),
            (
                Who::OtherDoctor,
                Some(clinic.doctor_token(other_doctor).await),
            ),
            (Who::Patient, Some(clinic.patient_token(patient).await)),
            (
                Who::OtherPatient,
                Some(clinic.patient_token(other_patient).await),
            ),
        ];
        let requests = Requests::new(&mut clinic, doctor, patient, 5).await;
        Self {
            clinic,
            tokens,
            requests,
        }
    }

    fn token(&self, who: Who) -> Option<String> {
        let (_, token) = self.tokens.iter().find(|(one, _)| *one == who).unwrap();
        token.clone()
    }

    /// One request of this row, as a client would send it.
    async fn prepare(&mut self, route: &str, with: With, who: Who) -> Prepared {
        let yesterday = DateTime::<Utc>::from(clock::now()).date_naive() - Days::new(1);
        let mut request = self
            .requests
            .prepare(&mut self.clinic, route, yesterday, 7)
            .await;
        let (start, end) = self.requests.time();
        match (with, &mut request.body) {
            (AsIs, _) => {}
            (Deep, _) => request.path += "?deep=1",
            (OtherTime, body) => *body = Some(json!({ "startsAt": start, "endsAt": end })),
            (Override, body) => {
                let past = |time: String| {
                    let time: DateTime<Utc> = time.parse().unwrap();
                    (time - TimeDelta::days(300)).to_rfc3339()
                };
                let body = body.as_mut().unwrap().as_object_mut().unwrap();
                body.remove("notes");
                body.insert("startsAt".to_owned(), past(start).into());
                body.insert("endsAt".to_owned(), past(end).into());
                body.insert("override".to_owned(), true.into());
            }
        }
        // A patient's tag is of what a patient sees; a caller who may not see it at all needs none.
        if route == "PATCH /api/appointments/{id}"
            && let Some(token) = self.token(who)
        {
            let seen = self.clinic.get_as(&token, &request.path).await;
            request.if_match = Some(match seen.headers.get("etag") {
                Some(etag) => etag.to_str().unwrap().to_owned(),
                None => "\"none\"".to_owned(),
            });
        }
        request
    }

    /// What each function said so far about whose data was shown.
    fn said(&self) -> Vec<Vec<Value>> {
        let functions = self.clinic.fleet.functions();
        functions
            .map(|function| self.clinic.logged(function, "patient data shown"))
            .collect()
    }

    /// The patients whose ids are in a text.
    async fn patients_in(&mut self, text: &str) -> BTreeSet<String> {
        let all: Vec<Uuid> = sqlx::query_scalar("select id from patients")
            .fetch_all(&mut self.clinic.admin)
            .await
            .unwrap();
        let all = all.iter().map(Uuid::to_string);
        all.filter(|id| text.contains(id)).collect()
    }

    /// Asserts what an answer shows, and that it was said since. Whether it shows patients.
    async fn assert_shown(
        &mut self,
        route: &str,
        who: Who,
        reply: &Reply,
        before: &[Vec<Value>],
    ) -> bool {
        let what = format!("{route} as {who:?}: {reply:?}");
        let now = self.said();
        let new = now.iter().zip(before);
        let lines: Vec<&Value> = new.flat_map(|(now, before)| &now[before.len()..]).collect();
        let shown = match reply.status.is_success() {
            true => self.patients_in(reply.text()).await,
            false => BTreeSet::new(),
        };
        let said: BTreeSet<&str> = lines
            .iter()
            .flat_map(|line| line["patients"].as_str().unwrap().split(' '))
            .collect();
        let unsaid = shown.iter().find(|id| !said.contains(id.as_str()));
        assert_eq!(unsaid, None, "{what}: {lines:?}");
        assert!(lines.len() <= 1, "{what}: {lines:?}");
        assert!(lines.iter().all(|line| line["route"] == route), "{lines:?}");

        // Lists have no notes for any caller.
        let one = reply.status.is_success() && route.contains("/api/appointments/{id}");
        let seen = reply.text().contains(NOTES);
        assert_eq!(seen, one && who.may(Action::SeeNotes), "{what}");
        !shown.is_empty()
    }
}

#[test]
fn the_matrix_walks_every_action_as_the_table_in_the_code_says() {
    let in_the_matrix = MATRIX.iter().filter_map(|(_, _, action, _)| *action);
    let walked: BTreeSet<Action> = in_the_matrix.chain([Action::SeeNotes]).collect();
    assert_eq!(walked, Action::all().collect());
    let roles = CALLERS.map(|who| who.role());
    for role in Role::ALL {
        let as_owner = role == Role::Staff || roles.contains(&Some((role, true)));
        assert!(as_owner && roles.contains(&Some((role, false))), "{role:?}");
    }
    for (route, with, action, statuses) in MATRIX {
        for (who, status) in CALLERS.into_iter().zip(statuses) {
            let Some(action) = action else { continue };
            let let_in = (200..300).contains(&status);
            assert_eq!(let_in, who.may(action), "{route} {with:?} as {who:?}");
        }
    }
}

#[tokio::test]
async fn every_caller_sees_and_does_what_is_theirs_on_every_route() {
    run_test(World::new(), async |world| {
        let routes: BTreeSet<&str> = world.clinic.fleet.routes().collect();
        let known: BTreeSet<&str> = MATRIX.iter().map(|(route, ..)| *route).collect();
        assert_eq!(
            routes, known,
            "a route is missing in the matrix, or in the template"
        );
        let (mut wrong, mut shown_by) = (Vec::new(), BTreeSet::new());
        for (route, with, _, expected) in MATRIX {
            for (who, expected) in CALLERS.into_iter().zip(expected) {
                let request = world.prepare(route, with, who).await;
                let token = world.token(who);
                if who == Who::FormerDoctor {
                    let leaves = "update doctors set active = false where full_name = 'A'";
                    world.clinic.sql(leaves).await;
                }
                let before = world.said();
                let reply = request.send(&world.clinic, token.as_deref()).await;
                if reply.status == expected {
                    if world.assert_shown(route, who, &reply, &before).await {
                        shown_by.insert(route);
                    }
                } else {
                    let status = reply.status;
                    wrong.push(format!(
                        "{route} {with:?} as {who:?}: {status} instead of {expected}"
                    ));
                }
                // A caller who may not have it is not told "you have it already".
                if request.method == Method::GET {
                    let any = [("if-none-match", "*")];
                    let path = &request.path;
                    let known = world
                        .clinic
                        .send(Method::GET, path, token.as_deref(), &any, None)
                        .await;
                    let expected = if expected == 200 { 304 } else { expected };
                    if known.status != expected {
                        let status = known.status;
                        wrong.push(format!(
                            "{path} as {who:?}, who has it: {status} instead of {expected}"
                        ));
                    }
                }
                if who == Who::FormerDoctor {
                    world.clinic.sql("update doctors set active = true").await;
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // Otherwise the lines in the log would say little.
        assert_eq!(shown_by, SHOWS_PATIENTS.into());
    })
    .await;
}

#[tokio::test]
async fn roles_and_subjects_are_in_the_claims_that_the_clinic_names() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .variable("AUTH_ROLE_CLAIM", "clinic:roles")
                .variable("AUTH_SUBJECT_CLAIM", "employee")
        }),
        async |clinic| {
            let doctor = clinic.doctor("A", "UTC").await;
            clinic.doctor_token(doctor).await;
            let subject = format!("doctor-{doctor}");
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            let issuer = clinic.fleet.issuer();
            for (claims, status) in [
                (
                    json!({ "clinic:roles": ["doctor"], "employee": subject, "sub": "s" }),
                    200,
                ),
                (
                    json!({ "clinic:roles": "doctor", "employee": subject }),
                    200,
                ),
                // The default names say nothing here, neither of them.
                (json!({ "cognito:groups": ["doctor"], "sub": subject }), 401),
                (
                    json!({ "cognito:groups": ["staff"], "employee": subject }),
                    403,
                ),
                (
                    json!({ "clinic:roles": ["doctor"], "employee": "s", "sub": subject }),
                    403,
                ),
            ] {
                let mut signed = issuer.claims("", "");
                let signed = signed.as_object_mut().unwrap();
                signed.retain(|name, _| !["cognito:groups", "sub"].contains(&name.as_str()));
                signed.extend(claims.as_object().unwrap().clone());
                let token = issuer.sign(&issuer.header(), &Value::Object(signed.clone()));
                let reply = clinic.get_as(&token, &path).await;
                assert_eq!(reply.status, status, "{claims}: {reply:?}");
            }
        },
    )
    .await;
}
