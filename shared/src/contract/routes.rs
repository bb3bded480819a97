//! The table of routes: what each accepts, answers and refuses.

use std::cell::RefCell;

use schemars::JsonSchema;

use super::{operation::Operation, schemas::Schemas};
use crate::{
    clinic::{
        appointments::{
            AppointmentDetail, DoctorHistoryPosition, Draft, HISTORY_DAYS, Patch,
            PatientHistoryPosition, Reason, Status, TodayPosition, UpcomingPosition, state_machine,
        },
        availability::{AVAILABILITY_DAYS, SlotPosition},
        dashboard::{DASHBOARD_DAYS, Dashboard},
        doctors::{Added, Changed, DoctorDetail, DoctorPosition, NewWeek, TimeOffDraft},
        me::Me,
        patients::{self, Patient, PatientPosition},
    },
    database::server::health::{Deep, Health},
    http::{auth::Action, problem::Problem},
};

/// The groups of operations, in the order of the document.
pub(super) const TAGS: [(&str, &str); 6] = [
    ("Appointments", "Appointments, and the times that are free."),
    (
        "Doctors",
        "Doctors, their working hours and their time off.",
    ),
    ("Patients", "Patients of the clinic."),
    ("Identity", "The caller."),
    ("Health", "The state of the service."),
    ("Documentation", "The description of this API."),
];

/// Why a time cannot be booked.
const TIME_UNAVAILABLE: &[Problem] = &[
    Problem::OutsideWorkingHours,
    Problem::Overlap,
    Problem::StartsInPast,
    Problem::TimeOff,
];

/// The introduction to the table of transitions.
const STATE_MACHINE: &str = "The status changes by the steps below. `cancelled` has its own route, which takes a reason. A confirmed appointment that is moved becomes `scheduled` again, unless the request sets a status.";

/// Every route behind API Gateway.
pub(super) fn all(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let groups = [appointments, doctors, patients, service];
    groups
        .into_iter()
        .flat_map(|group| group(schemas))
        .collect()
}

fn appointments(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |id, key, summary| Operation::new(schemas, "Appointments", id, key, summary);
    vec![
        route(
            "listUpcomingAppointments",
            "GET /api/doctors/{id}/appointments/upcoming",
            "Lists a doctor's upcoming appointments by start",
        )
        .action(Action::SeeSchedule)
        .page::<UpcomingPosition>("A page of appointments."),
        route(
            "listTodaysAppointments",
            "GET /api/doctors/{id}/appointments/today",
            "Lists a doctor's appointments of today, of every status, by start",
        )
        .action(Action::SeeSchedule)
        .describe("Today is the current day in the doctor's time zone.".to_owned())
        .page::<TodayPosition>("A page of appointments."),
        route(
            "listDoctorAppointments",
            "GET /api/doctors/{id}/appointments",
            "Lists a doctor's appointments in a range of days by start",
        )
        .action(Action::SeeSchedule)
        .days(HISTORY_DAYS, "doctor's")
        .query::<Status>("status", "Only appointments with this status.")
        .page::<DoctorHistoryPosition>("A page of appointments."),
        route(
            "listPatientAppointments",
            "GET /api/patients/{id}/appointments",
            "Lists a patient's appointments in a range of days by start",
        )
        .action(Action::SeePatientAppointments)
        .describe("A doctor gets only the appointments with that doctor.".to_owned())
        .days(HISTORY_DAYS, "clinic's")
        .page::<PatientHistoryPosition>("A page of appointments."),
        route(
            "listAvailableSlots",
            "GET /api/doctors/{id}/availability",
            "Lists a doctor's free slots by start",
        )
        .action(Action::SeeDoctors)
        .days(AVAILABILITY_DAYS, "doctor's")
        .page::<SlotPosition>("A page of slots."),
        route(
            "bookAppointment",
            "POST /api/appointments",
            "Books an appointment",
        )
        .action(Action::Book)
        .body::<Draft>()
        .created::<AppointmentDetail>("The appointment is booked.")
        .refuses(TIME_UNAVAILABLE)
        .refuses(&[Problem::DoctorInactive, Problem::UnknownReference]),
        route(
            "getAppointment",
            "GET /api/appointments/{id}",
            "Returns an appointment",
        )
        .action(Action::SeeAppointment)
        .answers::<AppointmentDetail>("The appointment. Staff and its doctor also get its notes."),
        route(
            "updateAppointment",
            "PATCH /api/appointments/{id}",
            "Moves an appointment, or changes its status or notes",
        )
        .action(Action::SeeAppointment)
        .describe(format!("{STATE_MACHINE}\n\n{}", state_machine()))
        .if_match()
        .body::<Patch>()
        .changed::<AppointmentDetail>("The updated appointment.")
        .refuses(TIME_UNAVAILABLE)
        .refuses(&[
            Problem::AppointmentStarted,
            Problem::DoctorInactive,
            Problem::NotMovable,
            Problem::TooEarly,
            Problem::InvalidTransition,
        ]),
        route(
            "cancelAppointment",
            "POST /api/appointments/{id}/cancel",
            "Cancels an appointment; repeating the request gets the same response",
        )
        .action(Action::Cancel)
        .body::<Reason>()
        .changed::<AppointmentDetail>("The cancelled appointment.")
        .refuses(&[Problem::AppointmentStarted, Problem::InvalidTransition]),
    ]
}

fn doctors(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |id, key, summary| Operation::new(schemas, "Doctors", id, key, summary);
    vec![
        route(
            "listDoctors",
            "GET /api/doctors",
            "Lists the active doctors by name",
        )
        .action(Action::SeeDoctors)
        .search("specialty", "The whole specialty, in any case.")
        .search("q", "A part of the name, in any case.")
        .page::<DoctorPosition>("A page of doctors."),
        route(
            "getDoctor",
            "GET /api/doctors/{id}",
            "Returns a doctor with their working hours",
        )
        .action(Action::SeeDoctors)
        .answers::<DoctorDetail>("The doctor. Staff and the doctor also get the time off."),
        route(
            "getDashboard",
            "GET /api/doctors/{id}/dashboard",
            "Returns statistics of a doctor's appointments in a range of days",
        )
        .action(Action::SeeSchedule)
        .days(DASHBOARD_DAYS, "doctor's")
        .answers::<Dashboard>("The statistics."),
        route(
            "replaceWorkingHours",
            "PUT /api/doctors/{id}/working-hours",
            "Replaces a doctor's weekly working hours",
        )
        .action(Action::ChangeFrame)
        .if_match()
        .body::<NewWeek>()
        .changed::<Changed<'_>>(
            "The updated doctor, with their ETag, and the appointments outside the new hours.",
        )
        .refuses(&[Problem::InvalidWorkingHours]),
        route(
            "createTimeOff",
            "POST /api/doctors/{id}/time-off",
            "Adds time off for a doctor",
        )
        .action(Action::ChangeFrame)
        .body::<TimeOffDraft>()
        .created_unchangeable::<Added<'_>>("The time off, and the appointments during it."),
        route(
            "deleteTimeOff",
            "DELETE /api/doctors/{id}/time-off/{timeOffId}",
            "Deletes a doctor's time off",
        )
        .action(Action::ChangeFrame)
        .deleted("The time off is deleted."),
    ]
}

fn patients(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |id, key, summary| Operation::new(schemas, "Patients", id, key, summary);
    vec![
        route("searchPatients", "GET /api/patients", "Searches patients by name or phone number")
            .action(Action::SearchPatients)
            .required_search("q", "Words of the name, or a part of the phone number's digits, with at least two letters or digits. A search of only two matches only beginnings.")
            .page::<PatientPosition>("A page of patients."),
        route("registerPatient", "POST /api/patients", "Registers a patient")
            .action(Action::KeepPatients)
            .body::<patients::Draft>()
            .created::<Patient>("The patient is registered.")
            .refuses(&[Problem::SubjectTaken]),
        route("getPatient", "GET /api/patients/{id}", "Returns a patient")
            .action(Action::SeePatient)
            .answers::<Patient>("The patient. Staff also get the subject of the patient's tokens."),
        route("updatePatient", "PATCH /api/patients/{id}", "Updates a patient's details")
            .action(Action::KeepPatients)
            .if_match()
            .body::<patients::Patch>()
            .changed::<Patient>("The updated patient.")
            .refuses(&[Problem::SubjectTaken]),
    ]
}

fn service(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |tag, id, key, summary| Operation::new(schemas, tag, id, key, summary);
    vec![
        route(
            "Identity",
            "getCurrentUser",
            "GET /api/me",
            "Returns the caller's roles and ids",
        )
        .action(Action::SeeOneself)
        .answers::<Me>("The caller's roles, and the doctor or patient that they are."),
        route(
            "Health",
            "getHealth",
            "GET /api/health",
            "Returns whether the process is running and, for staff, the database's state",
        )
        .query::<Deep>("deep", "Whether to check the database.")
        .answers::<Health>("The process is running."),
        route(
            "Health",
            "getLiveness",
            "GET /api/live",
            "Returns whether the process is running",
        )
        .public()
        .answers::<Health>("The process is running."),
        route(
            "Documentation",
            "getOpenApiDocument",
            "GET /api/openapi.json",
            "Returns this document",
        )
        .public()
        .answers::<Document>("The document."),
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
