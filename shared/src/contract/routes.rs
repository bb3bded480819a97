//! The table: what each route takes, shows and refuses.

use schemars::JsonSchema;

use super::operation::Operation;
use crate::{
    clinic::permissions::Action,
    clinic::{
        appointments::{
            Appointment, AppointmentDetail, DOCTOR_HISTORY_PAGE, DoctorHistoryPosition, Draft,
            HISTORY_DAYS, PATIENT_HISTORY_PAGE, Patch, PatientAppointment, PatientHistoryPosition,
            Reason, Status, TODAY_PAGE, TodayPosition, UPCOMING_PAGE, UpcomingPosition,
            state_machine,
        },
        availability::{AVAILABILITY_DAYS, AVAILABILITY_PAGE, Slot, SlotPosition},
        dashboard::{DASHBOARD_DAYS, Dashboard},
        doctors::{
            Added, Changed, DOCTORS_PAGE, Doctor, DoctorDetail, DoctorPosition, NewWeek,
            TimeOffDraft,
        },
        me::Me,
        patients::{self, FoundPatient, PATIENTS_PAGE, Patient, PatientPosition},
    },
    database::server::health::{Deep, Health},
    http::{
        page::{Page, PageLimit},
        problem::Problem,
    },
};

/// What stands in the way of a time.
const NO_SUCH_TIME: &[Problem] = &[
    Problem::OutsideWorkingHours,
    Problem::Overlap,
    Problem::StartsInPast,
    Problem::TimeOff,
];

/// What comes before the table of the steps.
const STATE_MACHINE: &str = "The status goes these steps. `cancelled` has a route of its own, which takes a reason. A confirmed appointment that is moved is `scheduled` again, unless the request says what it is.";

/// Every route that is behind API Gateway.
pub(super) fn all() -> Vec<Operation> {
    let doctor = "The doctor.";
    let patient = "The patient.";
    let appointment = "The appointment.";
    let route = Operation::new;
    vec![
        route("GET /api/doctors", "The active doctors, by name")
            .action(Action::SeeDoctors)
            .search("specialty", "The specialty, whole, in any case.")
            .search("q", "A part of the name, in any case.")
            .query::<PageLimit<DOCTORS_PAGE>>("limit", "The most on a page.")
            .cursor::<DoctorPosition>()
            .page::<Page<Doctor, DoctorPosition>>(DOCTORS_PAGE, "A page of doctors.")
            .reads(),
        route("GET /api/me", "Who the caller is: their roles, and their ids")
            .action(Action::SeeOneself)
            .many::<Me>("The doctor or the patient that they are, or both.")
            .reads(),
        route(
            "GET /api/doctors/{id}/appointments/upcoming",
            "What a doctor still has before them, by start",
        )
        .action(Action::SeeSchedule)
        .id("id", doctor)
        .query::<PageLimit<UPCOMING_PAGE>>("limit", "The most on a page.")
        .cursor::<UpcomingPosition>()
        .page::<Page<Appointment, UpcomingPosition>>(UPCOMING_PAGE, "A page of appointments.")
        .reads(),
        route(
            "GET /api/doctors/{id}/appointments/today",
            "A doctor's whole day in the doctor's time zone, every status, by start",
        )
        .action(Action::SeeSchedule)
        .id("id", doctor)
        .cursor::<TodayPosition>()
        .page::<Page<Appointment, TodayPosition>>(TODAY_PAGE, "A page of appointments.")
        .reads(),
        route(
            "GET /api/doctors/{id}/appointments",
            "A doctor's appointments of a range of days, by start",
        )
        .action(Action::SeeSchedule)
        .id("id", doctor)
        .days(HISTORY_DAYS, "doctor's")
        .query::<Status>("status", "Of this status alone.")
        .query::<PageLimit<DOCTOR_HISTORY_PAGE>>("limit", "The most on a page.")
        .cursor::<DoctorHistoryPosition>()
        .page::<Page<Appointment, DoctorHistoryPosition>>(
            DOCTOR_HISTORY_PAGE,
            "A page of appointments.",
        )
        .reads(),
        route(
            "GET /api/doctors/{id}/availability",
            "When a doctor can be visited: free slots, by start",
        )
        .action(Action::SeeDoctors)
        .id("id", doctor)
        .days(AVAILABILITY_DAYS, "doctor's")
        .cursor::<SlotPosition>()
        .page::<Page<Slot, SlotPosition>>(AVAILABILITY_PAGE, "A page of slots.")
        .reads(),
        route(
            "GET /api/doctors/{id}/dashboard",
            "What became of a doctor's time on a range of days",
        )
        .action(Action::SeeSchedule)
        .id("id", doctor)
        .days(DASHBOARD_DAYS, "doctor's")
        .many::<Dashboard>("The figures.")
        .reads(),
        route("GET /api/doctors/{id}", "One doctor, with their week")
            .action(Action::SeeDoctors)
            .id("id", doctor)
            .one::<DoctorDetail>("The doctor; their time off for staff and themselves.")
            .reads(),
        route(
            "PUT /api/doctors/{id}/working-hours",
            "Replaces a doctor's ordinary week",
        )
        .action(Action::ManageSchedule)
        .id("id", doctor)
        .if_match()
        .body::<NewWeek>()
        .changed::<Changed<'_>>(
            "The doctor as they are now, whose ETag it is, and appointments that are outside the week.",
        )
        .refuses(&[Problem::InvalidWorkingHours])
        .writes(),
        route("POST /api/doctors/{id}/time-off", "Takes a doctor away for a time")
            .action(Action::ManageSchedule)
            .id("id", doctor)
            .idempotent()
            .body::<TimeOffDraft>()
            .added::<Added<'_>>("The absence, and the appointments that are in it.")
            .writes(),
        route(
            "DELETE /api/doctors/{id}/time-off/{timeOffId}",
            "Takes an absence back",
        )
        .action(Action::ManageSchedule)
        .id("id", doctor)
        .id("timeOffId", "The absence.")
        .removed("There is no such absence any more.")
        .writes(),
        route("GET /api/patients", "Patients by a part of name or phone number")
            .action(Action::SearchPatients)
            .needed_search(
                "q",
                "Words of the name, or a part of the phone number's digits; of two characters, or two digits, the beginning. At least two letters or digits.",
            )
            .query::<PageLimit<PATIENTS_PAGE>>("limit", "The most on a page.")
            .cursor::<PatientPosition>()
            .page::<Page<FoundPatient, PatientPosition>>(PATIENTS_PAGE, "A page of patients.")
            .reads(),
        route("POST /api/patients", "Registers a patient")
            .action(Action::KeepPatients)
            .idempotent()
            .body::<patients::Draft>()
            .created::<Patient>("Registered.")
            .refuses(&[Problem::SubjectTaken])
            .writes(),
        route("GET /api/patients/{id}", "One patient")
            .action(Action::SeePatient)
            .id("id", patient)
            .one::<Patient>("The patient; who logs in as them for staff.")
            .reads(),
        route("PATCH /api/patients/{id}", "Corrects what is known of a patient")
            .action(Action::KeepPatients)
            .id("id", patient)
            .if_match()
            .body::<patients::Patch>()
            .changed::<Patient>("The patient as they are now.")
            .refuses(&[Problem::SubjectTaken])
            .writes(),
        route(
            "GET /api/patients/{id}/appointments",
            "A patient's appointments of a range of days, by start; for a doctor the ones with themselves",
        )
        .action(Action::SeePatientAppointments)
        .id("id", patient)
        .days(HISTORY_DAYS, "clinic's")
        .query::<PageLimit<PATIENT_HISTORY_PAGE>>("limit", "The most on a page.")
        .cursor::<PatientHistoryPosition>()
        .page::<Page<PatientAppointment, PatientHistoryPosition>>(
            PATIENT_HISTORY_PAGE,
            "A page of appointments.",
        )
        .reads(),
        route("POST /api/appointments", "Books an appointment")
            .action(Action::Book)
            .idempotent()
            .body::<Draft>()
            .created::<AppointmentDetail>("Booked.")
            .refuses(NO_SUCH_TIME)
            .refuses(&[Problem::DoctorInactive, Problem::UnknownReference])
            .writes(),
        route("GET /api/appointments/{id}", "One appointment")
            .action(Action::SeeAppointment)
            .id("id", appointment)
            .one::<AppointmentDetail>("The appointment; its notes for staff and its doctor.")
            .reads(),
        route(
            "PATCH /api/appointments/{id}",
            "Moves an appointment, or changes its status or notes",
        )
        .action(Action::SeeAppointment)
        .id("id", appointment)
        .if_match()
        .body::<Patch>()
        .says(format!("{STATE_MACHINE}\n\n{}", state_machine()))
        .changed::<AppointmentDetail>("The appointment as it is now.")
        .refuses(NO_SUCH_TIME)
        .refuses(&[Problem::AppointmentStarted, Problem::DoctorInactive, Problem::NotMovable, Problem::TooEarly, Problem::InvalidTransition])
        .writes(),
        route(
            "POST /api/appointments/{id}/cancel",
            "Gives an appointment up; asked for again, it answers the same",
        )
        .action(Action::Cancel)
        .id("id", appointment)
        .body::<Reason>()
        .changed::<AppointmentDetail>("The appointment, cancelled.")
        .refuses(&[Problem::AppointmentStarted, Problem::InvalidTransition])
        .writes(),
        route(
            "GET /api/health",
            "Is the process up; is the database, for staff",
        )
        .refuses(&[Problem::Unauthenticated, Problem::Forbidden])
        .query::<Deep>("deep", "Whether the database is looked at.")
        .many::<Health>("It is.")
        .reads(),
        route("GET /api/live", "Is the process up")
            .open()
            .many::<Health>("It is."),
        route("GET /api/openapi.json", "This document")
            .open()
            .many::<Document>("The document."),
    ]
}

/// An OpenAPI document.
#[derive(JsonSchema)]
#[schemars(inline)]
#[expect(dead_code, reason = "only its schema is used")]
struct Document {
    /// The version of OpenAPI.
    openapi: String,
}
