alter table appointments
    -- Counts the changes of an appointment. Its audit trail has a row for each.
    add column revision integer not null default 1,
    -- Why it was cancelled, in the words of whoever did.
    add column cancel_reason text,
    add constraint appointments_cancel_reason_length check (char_length(cancel_reason) <= 500) not valid;
