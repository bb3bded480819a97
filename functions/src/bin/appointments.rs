//! The life of one appointment: `POST /api/appointments`, `GET` and `PATCH /api/appointments/{id}`,
//! `POST /api/appointments/{id}/cancel`.

use shared::{
    clinic::appointments::{
        self, Booking, CancelAppointment, ChangeAppointment, Draft, Patch, Reason,
    },
    clinic::permissions::{Action, access_to, authorize},
    http::{problem::Error, request::Request, response::Response},
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
    let access = authorize(&caller, Action::Book)?;
    let draft: Draft = request.body()?;
    if draft.override_hours {
        authorize(&caller, Action::OverrideHours)?;
    }
    let booking = Booking {
        draft: &draft,
        access,
        notes: access_to(&caller, Action::SeeNotes),
    };
    let answer = request.write_once(&caller, &booking).await?;
    request.answer(&caller, answer)
}

async fn see(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeeAppointment)?;
    let notes = access_to(&caller, Action::SeeNotes);
    let id = request.path_id("id")?;
    let found = appointments::find(request.reader().await?, &access, notes.as_ref(), id).await?;
    let found = found.ok_or(Error::NotFound("appointment"))?;
    request.log_access(&caller, [found.patient.id]);
    request.resource(&found)
}

async fn change(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    authorize(&caller, Action::SeeAppointment)?;
    let edit = ChangeAppointment {
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
    authorize(&caller, Action::Cancel)?;
    let cancellation = CancelAppointment {
        appointment: request.path_id("id")?,
        reason: &request.body::<Reason>()?.reason,
        caller: &caller,
    };
    let answer = request.write(&cancellation).await?;
    request.answer(&caller, answer)
}
