//! The table: what each route takes, shows and refuses.

use schemars::JsonSchema;

use super::operation::Operation;
use crate::{
    appointments::{
        Appointment, AppointmentDetail, Draft, Patch, Reason, TODAY_PAGE, TodayPosition,
        UPCOMING_PAGE, UpcomingPosition,
    },
    auth::Action,
    doctors::{DOCTORS_PAGE, Doctor, DoctorPosition},
    health::{Deep, Health},
    page::{Page, PageLimit},
};

/// What stands in the way of a time.
const NO_SUCH_TIME: &[&str] = &[
    "contradiction",
    "outside-working-hours",
    "overlap",
    "past",
    "time-off",
];

/// Every route that is behind API Gateway.
pub(super) fn all() -> Vec<Operation> {
    let doctor = "The doctor.";
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
        route("POST /api/appointments", "Books an appointment")
            .action(Action::Book)
            .idempotent()
            .body::<Draft>()
            .created::<AppointmentDetail>("Booked.")
            .refuses(NO_SUCH_TIME)
            .refuses(&["inactive", "unknown-reference"])
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
        .changed::<AppointmentDetail>("The appointment as it is now.")
        .refuses(NO_SUCH_TIME)
        .refuses(&["not-movable", "transition"])
        .writes(),
        route(
            "POST /api/appointments/{id}/cancel",
            "Gives an appointment up; asked for again, it answers the same",
        )
        .action(Action::Cancel)
        .id("id", appointment)
        .body::<Reason>()
        .changed::<AppointmentDetail>("The appointment, cancelled.")
        .refuses(&["transition"])
        .writes(),
        route(
            "GET /api/health",
            "Is the process up; is the database, for staff",
        )
        .refuses(&["unauthenticated", "forbidden"])
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
