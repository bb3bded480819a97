-- What was changed by whom, and requests that are sent twice.

-- Who changed what and when. The number of the change is part of the key: changes of one appointment wait for each
-- other at its row, so the numbers have no gap, and the order is right also when clocks are not.
create table appointment_changes (
    appointment_id uuid not null references appointments (id) on delete restrict,
    revision integer not null,
    -- The moment itself, not the transaction's beginning, which may lie before that of an earlier change.
    changed_at timestamptz not null default clock_timestamp(),
    actor_role text not null,
    actor_subject text not null,
    action text not null,
    -- What the change touched, as it was; null for a booking.
    before jsonb,
    -- The same, as it is now.
    after jsonb not null,
    primary key (appointment_id, revision),
    constraint appointment_changes_action_known check (action in ('booked', 'changed', 'cancelled')),
    constraint appointment_changes_role_known check (actor_role in ('staff', 'doctor', 'patient'))
);

-- Answers to requests that carried an Idempotency-Key, so that one that is sent again is answered again and not done
-- again. Written in the transaction of the work itself: there is no moment at which one exists without the other.
create table idempotency_keys (
    subject text not null,
    route text not null,
    key text not null,
    -- SHA-256 of the request's path and body: the same key with another request is a mistake.
    fingerprint bytea not null,
    status smallint not null,
    -- Location and the like, as pairs of name and value.
    headers jsonb not null,
    body text not null,
    -- Whose data it shows: showing it again is an access again.
    patients uuid[] not null,
    created_at timestamptz not null default now(),
    primary key (subject, route, key),
    constraint idempotency_keys_key_length check (char_length(key) between 1 and 255)
);

-- What is older than a day is purged, the oldest first.
create index idempotency_keys_by_age on idempotency_keys (created_at);
