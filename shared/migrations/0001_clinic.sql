-- The clinic: doctors, patients, and the appointments between them.
-- Every time is timestamptz, every range half-open: [starts_at, ends_at).

-- An exclusion constraint that mixes equality (doctor) with overlap (time) needs GiST support for uuid. The extension
-- is trusted since PostgreSQL 13: the database's owner may create it without being superuser.
create extension if not exists btree_gist;

create table doctors (
    id uuid primary key default gen_random_uuid(),
    full_name text not null,
    specialty text not null,
    -- An IANA name; "today" is the doctor's own day.
    time_zone text not null,
    active boolean not null default true,
    constraint doctors_full_name_length check (char_length(full_name) between 1 and 200),
    constraint doctors_specialty_length check (char_length(specialty) between 1 and 100),
    -- An unknown zone raises an error here, at the write, instead of failing every later read of the doctor's day.
    constraint doctors_time_zone_known check (timezone(time_zone, timestamptz '2000-01-01 00:00:00+00') is not null)
);

-- The list of doctors: active ones by name, the id breaking ties, so that a page can continue from (full_name, id).
create index doctors_active_by_name on doctors (full_name, id) where active;

create table patients (
    id uuid primary key default gen_random_uuid(),
    full_name text not null,
    phone text,
    email text,
    date_of_birth date,
    constraint patients_full_name_length check (char_length(full_name) between 1 and 200),
    constraint patients_phone_length check (char_length(phone) between 1 and 40),
    constraint patients_email_length check (char_length(email) between 3 and 254)
);

create table appointments (
    id uuid primary key default gen_random_uuid(),
    -- Restrict: a doctor or a patient with appointments is part of the clinic's record.
    doctor_id uuid not null references doctors (id) on delete restrict,
    patient_id uuid not null references patients (id) on delete restrict,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    -- Text and a check rather than an enum type: a driver must look an enum up in the catalog of every new session
    -- (a round trip that text does not cost), and a value can be added and removed by an ordinary migration.
    status text not null default 'scheduled',
    reason text not null default '',
    -- Clinical notes: never in a list.
    notes text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint appointments_status_known check (
        status in ('scheduled', 'confirmed', 'checked_in', 'in_progress', 'completed', 'cancelled', 'no_show')
    ),
    constraint appointments_end_after_start check (ends_at > starts_at),
    constraint appointments_reason_length check (char_length(reason) <= 500),
    constraint appointments_notes_length check (char_length(notes) <= 10000),
    -- Double booking is impossible whatever the code does. Only a cancelled appointment and one whose patient did not
    -- come leave the doctor's time free; a completed one keeps it.
    constraint appointments_no_overlap exclude using gist (
        doctor_id with =,
        tstzrange(starts_at, ends_at, '[)') with &&
    ) where (status not in ('cancelled', 'no_show'))
);

-- A doctor's day, every status, in the order of the page's cursor (starts_at, id).
create index appointments_by_doctor on appointments (doctor_id, starts_at, id);

-- What is still to come, without the years of completed visits before it: upcoming is the route that took the
-- product down, so it gets an index of its own, small enough to stay in memory.
create index appointments_live_by_doctor on appointments (doctor_id, starts_at, id)
    where status in ('scheduled', 'confirmed', 'checked_in', 'in_progress');

-- The foreign key's other side: without it, removing a patient reads the whole table.
create index appointments_by_patient on appointments (patient_id, starts_at, id);
