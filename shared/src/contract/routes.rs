//! The table of routes: what each accepts, answers and refuses.

use std::cell::RefCell;

use schemars::JsonSchema;

use super::{operation::Operation, schemas::Schemas};
use crate::{
    clinic::permissions::Action,
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
    http::problem::Problem,
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
    groups.iter().flat_map(|group| group(schemas)).collect()
}

fn appointments(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |key| Operation::new(schemas, "Appointments", key);
    vec![
        route("GET /api/doctors/{id}/appointments/upcoming")
            .id("listUpcomingAppointments")
            .summary("Lists a doctor's upcoming appointments by start")
            .action(Action::SeeSchedule)
            .page::<UpcomingPosition>("A page of appointments."),
        route("GET /api/doctors/{id}/appointments/today")
            .id("listTodaysAppointments")
            .summary("Lists a doctor's appointments of today, of every status, by start")
            .action(Action::SeeSchedule)
            .describe("Today is the current day in the doctor's time zone.")
            .page::<TodayPosition>("A page of appointments."),
        route("GET /api/doctors/{id}/appointments")
            .id("listDoctorAppointments")
            .summary("Lists a doctor's appointments in a range of days by start")
            .action(Action::SeeSchedule)
            .days(HISTORY_DAYS, "doctor's")
            .query::<Status>("status", "Only appointments with this status.")
            .page::<DoctorHistoryPosition>("A page of appointments."),
        route("GET /api/patients/{id}/appointments")
            .id("listPatientAppointments")
            .summary("Lists a patient's appointments in a range of days by start")
            .action(Action::SeePatientAppointments)
            .describe("A doctor gets only the appointments with that doctor.")
            .days(HISTORY_DAYS, "clinic's")
            .page::<PatientHistoryPosition>("A page of appointments."),
        route("GET /api/doctors/{id}/availability")
            .id("listAvailableSlots")
            .summary("Lists a doctor's free slots by start")
            .action(Action::SeeDoctors)
            .days(AVAILABILITY_DAYS, "doctor's")
            .page::<SlotPosition>("A page of slots."),
        route("POST /api/appointments")
            .id("bookAppointment")
            .summary("Books an appointment")
            .action(Action::Book)
            .body::<Draft>()
            .created::<AppointmentDetail>("The appointment is booked.")
            .refuses(TIME_UNAVAILABLE)
            .refuses(&[Problem::DoctorInactive, Problem::UnknownReference]),
        route("GET /api/appointments/{id}")
            .id("getAppointment")
            .summary("Returns an appointment")
            .action(Action::SeeAppointment)
            .answers::<AppointmentDetail>(
                "The appointment. Staff and its doctor also get its notes.",
            ),
        route("PATCH /api/appointments/{id}")
            .id("updateAppointment")
            .summary("Moves an appointment, or changes its status or notes")
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
        route("POST /api/appointments/{id}/cancel")
            .id("cancelAppointment")
            .summary("Cancels an appointment; repeating the request gets the same response")
            .action(Action::Cancel)
            .body::<Reason>()
            .changed::<AppointmentDetail>("The cancelled appointment.")
            .refuses(&[Problem::AppointmentStarted, Problem::InvalidTransition]),
    ]
}

fn doctors(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |key| Operation::new(schemas, "Doctors", key);
    vec![
        route("GET /api/doctors")
            .id("listDoctors")
            .summary("Lists the active doctors by name")
            .action(Action::SeeDoctors)
            .search("specialty", "The whole specialty, in any case.")
            .search("q", "A part of the name, in any case.")
            .page::<DoctorPosition>("A page of doctors."),
        route("GET /api/doctors/{id}")
            .id("getDoctor")
            .summary("Returns a doctor with their working hours")
            .action(Action::SeeDoctors)
            .answers::<DoctorDetail>("The doctor. Staff and the doctor also get the time off."),
        route("GET /api/doctors/{id}/dashboard")
            .id("getDashboard")
            .summary("Returns statistics of a doctor's appointments in a range of days")
            .action(Action::SeeSchedule)
            .days(DASHBOARD_DAYS, "doctor's")
            .answers::<Dashboard>("The statistics."),
        route("PUT /api/doctors/{id}/working-hours")
            .id("replaceWorkingHours")
            .summary("Replaces a doctor's weekly working hours")
            .action(Action::ManageSchedule)
            .if_match()
            .body::<NewWeek>()
            .changed::<Changed<'_>>(
                "The updated doctor, with their ETag, and the appointments outside the new hours.",
            )
            .refuses(&[Problem::InvalidWorkingHours]),
        route("POST /api/doctors/{id}/time-off")
            .id("createTimeOff")
            .summary("Adds time off for a doctor")
            .action(Action::ManageSchedule)
            .body::<TimeOffDraft>()
            .created_unchangeable::<Added<'_>>("The time off, and the appointments during it."),
        route("DELETE /api/doctors/{id}/time-off/{timeOffId}")
            .id("deleteTimeOff")
            .summary("Deletes a doctor's time off")
            .action(Action::ManageSchedule)
            .deleted("The time off is deleted."),
    ]
}

fn patients(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |key| Operation::new(schemas, "Patients", key);
    vec![
        route("GET /api/patients").id("searchPatients").summary("Searches patients by name or phone number")
            .action(Action::SearchPatients)
            .required_search("q", "Words of the name, or a part of the phone number's digits, with at least two letters or digits. A search of only two matches only beginnings.")
            .page::<PatientPosition>("A page of patients."),
        route("POST /api/patients").id("registerPatient").summary("Registers a patient")
            .action(Action::KeepPatients)
            .body::<patients::Draft>()
            .created::<Patient>("The patient is registered.")
            .refuses(&[Problem::SubjectTaken]),
        route("GET /api/patients/{id}").id("getPatient").summary("Returns a patient")
            .action(Action::SeePatient)
            .answers::<Patient>("The patient. Staff also get the subject of the patient's tokens."),
        route("PATCH /api/patients/{id}").id("updatePatient").summary("Updates a patient's details")
            .action(Action::KeepPatients)
            .if_match()
            .body::<patients::Patch>()
            .changed::<Patient>("The updated patient.")
            .refuses(&[Problem::SubjectTaken]),
    ]
}

fn service(schemas: &RefCell<Schemas>) -> Vec<Operation<'_>> {
    let route = |tag, key| Operation::new(schemas, tag, key);
    vec![
        route("Identity", "GET /api/me")
            .id("getCurrentUser")
            .summary("Returns the caller's roles and ids")
            .action(Action::SeeOneself)
            .answers::<Me>("The caller's roles, and the doctor or patient that they are."),
        route("Health", "GET /api/health")
            .id("getHealth")
            .summary("Returns whether the process is running and, for staff, the database's state")
            .query::<Deep>("deep", "Whether to check the database.")
            .answers::<Health>("The process is running."),
        route("Health", "GET /api/live")
            .id("getLiveness")
            .summary("Returns whether the process is running")
            .public()
            .answers::<Health>("The process is running."),
        route("Documentation", "GET /api/openapi.json")
            .id("getOpenApiDocument")
            .summary("Returns this document")
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
