-- Booking: who may log in, when a doctor works, what was changed by whom, and requests that are sent twice.
-- It only adds, with defaults: a version of the functions that knows nothing of it goes on working beside the new one.

-- Who a doctor or a patient is at the identity provider: what its tokens hold as their subject. Null: nobody logs in as
-- them. Unique, because a subject is one person.
alter table doctors add column subject text;
alter table doctors add constraint doctors_subject_unique unique (subject);
alter table doctors add constraint doctors_subject_length check (char_length(subject) between 1 and 255);

-- How long a visit is unless somebody says otherwise: the length of the slots that are offered.
alter table doctors add column slot_minutes integer not null default 30;
alter table doctors add constraint doctors_slot_minutes_range check (slot_minutes between 5 and 480);

alter table patients add column subject text;
alter table patients add constraint patients_subject_unique unique (subject);
alter table patients add constraint patients_subject_length check (char_length(subject) between 1 and 255);

-- Patients are found by any part of a name or of a phone number, however that is punctuated. Trigrams serve parts of
-- three characters and more; the extension is trusted, like btree_gist.
create extension if not exists pg_trgm;
create index patients_name_trigrams on patients using gin (lower(full_name) gin_trgm_ops);
create index patients_phone_trigrams on patients using gin (regexp_replace(phone, '[^0-9]', '', 'g') gin_trgm_ops);
-- Two characters are no trigram: there the beginning of the name is searched, in any collation.
create index patients_name_prefix on patients (lower(full_name) text_pattern_ops);
-- Pages of a search go on from (full_name, id).
create index patients_by_name on patients (full_name, id);

-- Counts the changes of an appointment. Its audit trail has a row for each.
alter table appointments add column revision integer not null default 1;
-- Why it was cancelled, in the words of whoever did.
alter table appointments add column cancel_reason text;
alter table appointments add constraint appointments_cancel_reason_length check (char_length(cancel_reason) <= 500);

-- The hours of an ordinary week in the doctor's own time zone, several a day where there is a break. A doctor without
-- any is not offered and is booked by staff alone.
create table working_hours (
    doctor_id uuid not null references doctors (id) on delete cascade,
    -- ISO 8601: Monday is 1.
    weekday smallint not null,
    opens time not null,
    -- 24:00 is the end of the day, which this type can hold.
    closes time not null,
    primary key (doctor_id, weekday, opens),
    constraint working_hours_weekday_range check (weekday between 1 and 7),
    constraint working_hours_close_after_open check (closes > opens),
    constraint working_hours_no_overlap exclude using gist (
        doctor_id with =,
        weekday with =,
        int4range(extract(epoch from opens)::integer, extract(epoch from closes)::integer) with &&
    )
);

-- Holidays, illness, training: the doctor is away although the week says otherwise.
create table time_off (
    id uuid primary key default gen_random_uuid(),
    doctor_id uuid not null references doctors (id) on delete cascade,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    reason text not null default '',
    constraint time_off_end_after_start check (ends_at > starts_at),
    constraint time_off_reason_length check (char_length(reason) <= 500)
);

-- "Is the doctor away between these two moments?"
create index time_off_by_doctor on time_off using gist (doctor_id, tstzrange(starts_at, ends_at, '[)'));

-- When a doctor works, as moments: the hours of the week on each day from `first_day` to before `end_day`, in the
-- doctor's own zone. A moment belongs to an interval when the doctor's clock shows a time within it then. So an hour that
-- clocks leave out yields nothing, one that they go through twice yields both, and an interval that begins or ends within
-- such an hour is still right, which the mere conversion of its two ends would not be. Booking, free slots and figures
-- all ask here, so that they cannot disagree.
--
-- At most 366 days. The limits are what there can be at most: without them the planner expects thousands of each, millions
-- in all, and compiles the statement (JIT), which takes a hundred times as long as running it.
create function working_periods(doctor uuid, first_day date, end_day date)
returns table (day date, period tstzrange)
language sql stable rows 60
begin atomic
    with zone as (
        select time_zone from doctors where id = doctor
    ),
    -- How far the zone is from UTC, once a day.
    probe as (
        select at, utc_offset, lead(at) over by_time as next_at, lead(utc_offset) over by_time as next_offset
        from (
            select g.at, g.at at time zone zone.time_zone - g.at at time zone 'UTC' as utc_offset
            from zone,
                 generate_series(
                     (first_day - 2)::timestamp at time zone 'UTC',
                     (end_day + 2)::timestamp at time zone 'UTC',
                     interval '24 hours'
                 ) g (at)
            limit 371
        ) daily
        window by_time as (order by at)
    ),
    change as (
        select null::timestamptz as at, (select utc_offset from probe order by at limit 1) as utc_offset
        union all
        -- Between two probes that differ, the minute in which the clocks change. Where they do, that is two to four times
        -- a year.
        select (
                   select min(m.at)
                   from zone, generate_series(p.at, p.next_at, interval '1 minute') m (at)
                   where m.at at time zone zone.time_zone - m.at at time zone 'UTC' = p.next_offset
               ),
               p.next_offset
        from (select * from probe where next_offset <> utc_offset order by at limit 10) p
    ),
    -- From one change to the next a clock's time is a moment, and the other way round.
    stretch as materialized (
        select at as begins, lead(at) over (order by at nulls first) as ends, utc_offset from change
    )
    select days.day, pieces.period
    from working_hours w,
         lateral (select first_day + n as day from generate_series(0, end_day - first_day - 1) n limit 366) days,
         lateral (
             -- What a change cut in two although the clock's time goes on is one again.
             select unnest(range_agg(tstzrange(piece.opens, piece.closes, '[)'))) as period
             from (
                 select greatest(s.begins, (days.day + w.opens - s.utc_offset) at time zone 'UTC') as opens,
                        least(s.ends, (days.day + w.closes - s.utc_offset) at time zone 'UTC') as closes
                 from stretch s
             ) piece
             where piece.opens < piece.closes
             limit 4
         ) pieces
    where w.doctor_id = doctor
      and w.weekday = extract(isodow from days.day);
end;

-- The slots that can be booked: of the doctor's own length, from the beginning of a working period on, where nothing is
-- booked and the doctor is not away. Past ones are among them. A doctor who has left offers none.
create function free_slots(doctor uuid, first_day date, end_day date)
returns table (starts_at timestamptz, ends_at timestamptz)
language sql stable rows 500
begin atomic
    with taken as materialized (
        select range_agg(other.period) as periods
        from (
            -- Days begin at most a day before or after those of UTC.
            select tstzrange(
                       (first_day - 1)::timestamp at time zone 'UTC', (end_day + 1)::timestamp at time zone 'UTC', '[)'
                   ) as period
        ) around,
        lateral (
            select tstzrange(a.starts_at, a.ends_at, '[)') as period
            from appointments a
            where a.doctor_id = doctor
              and tstzrange(a.starts_at, a.ends_at, '[)') && around.period
              and a.status not in ('cancelled', 'no_show')
            union all
            select tstzrange(t.starts_at, t.ends_at, '[)')
            from time_off t
            where t.doctor_id = doctor
              and tstzrange(t.starts_at, t.ends_at, '[)') && around.period
        ) other
    )
    select slot.starts_at, slot.starts_at + d.length
    from (
             select make_interval(mins => slot_minutes) as length from doctors where id = doctor and active
         ) d,
         working_periods(doctor, first_day, end_day) w,
         lateral (
             -- Of five minutes in the longest day.
             select starts_at
             from generate_series(lower(w.period), upper(w.period) - d.length, d.length) starts_at
             limit 300
         ) slot,
         taken
    where not coalesce(taken.periods && tstzrange(slot.starts_at, slot.starts_at + d.length, '[)'), false);
end;

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
