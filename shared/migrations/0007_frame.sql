-- When a doctor works and is away, and what follows from it: the slots that are free.

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
