//! The life of one appointment: `POST /api/appointments`, `GET` and `PATCH /api/appointments/{id}`,
//! `POST /api/appointments/{id}/cancel`.

use shared::{
    clinic::appointments::{self, Booking, Cancellation, Draft, Edit, Patch, Reason},
    http::{auth::Action, problem::Error, request::Request, response::Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

async fn handler(request: Request) -> Result<Response, Error> {
    request.no_query()?;
    match request.route() {
        "POST /api/appointments" => book(request).await,
        "GET /api/appointments/{id}" => see(request).await,
        "PATCH /api/appointments/{id}" => change(request).await,
        "POST /api/appointments/{id}/cancel" => cancel(request).await,
        _ => Err(Error::NotFound("route")),
    }
}

async fn book(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = caller.may(Action::Book)?;
    let draft: Draft = request.body()?;
    if draft.override_hours {
        caller.may(Action::OverrideHours)?;
    }
    let booking = Booking {
        draft: &draft,
        access,
        notes: caller.access(Action::SeeNotes),
    };
    let answer = request.write_once(&caller, &booking).await?;
    request.answer(&caller, answer)
}

async fn see(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = caller.may(Action::SeeAppointment)?;
    let notes = caller.access(Action::SeeNotes);
    let id = request.path_id("id")?;
    let found = appointments::find(request.reader().await?, &access, notes.as_ref(), id).await?;
    let found = found.ok_or(Error::NotFound("appointment"))?;
    request.log_access(&caller, [found.patient.id]);
    request.one(&found)
}

async fn change(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    caller.may(Action::SeeAppointment)?;
    let edit = Edit {
        appointment: request.path_id("id")?,
        if_match: &request.if_match()?,
        patch: &request.body::<Patch>()?,
        caller: &caller,
    };
    let answer = request.write(&edit).await?;
    request.answer(&caller, answer)
}

async fn cancel(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    caller.may(Action::Cancel)?;
    let cancellation = Cancellation {
        appointment: request.path_id("id")?,
        reason: &request.body::<Reason>()?.reason,
        caller: &caller,
    };
    let answer = request.write(&cancellation).await?;
    request.answer(&caller, answer)
}
