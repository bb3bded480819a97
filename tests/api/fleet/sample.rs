//! The sample clinic is one that the schema accepts and that looks like a clinic.
use chrono::{DateTime, Utc};
use fleet::database::Database;
use fleet::sample::{
    self, CLOSES_AT_LATEST, FIRST_DOCTOR, LUNCH_MINUTES, LUNCHES, OPENS_AT_EARLIEST, Size, Summary,
};
use sqlx::PgConnection;
use std::time::Instant;

/// A Wednesday, in the working hours of Berlin and of New York.
const NOW: &str = "2026-03-11T14:07:00Z";

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the database, like the program that fills it"
)]
async fn empty_clinic(database: &Database) -> PgConnection {
    let mut connection = <PgConnection as sqlx::Connection>::connect(&database.url())
        .await
        .unwrap();
    sqlx::migrate!("../shared/migrations")
        .run(&mut connection)
        .await
        .unwrap();
    connection
}

fn at(time: &str) -> DateTime<Utc> {
    time.parse().unwrap()
}

async fn filled(seed: u64, now: &str) -> (Database, PgConnection) {
    let database = Database::builder().start().await.unwrap();
    let mut clinic = empty_clinic(&database).await;
    let summary = sample::generate(&mut clinic, Size::Small, seed, at(now), |_, _| {})
        .await
        .unwrap();
    let generated = Summary::Generated {
        doctors: 12,
        patients: 600,
        appointments: 6_000,
    };
    assert_eq!(summary, generated);
    (database, clinic)
}

async fn number(clinic: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(clinic).await.unwrap()
}

/// One text that holds every row of the three tables.
async fn everything(clinic: &mut PgConnection) -> String {
    let rows = "select concat(
        (select string_agg(d::text, ';' order by id) from doctors d),
        (select string_agg(p::text, ';' order by id) from patients p),
        (select string_agg(a::text, ';' order by id) from appointments a))";
    sqlx::query_scalar(rows).fetch_one(clinic).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_keep_to_the_doctors_hours_on_both_sides_of_a_clock_change() {
    let (_database, mut clinic) = filled(1, NOW).await;
    let clocks = "select min(offsets) from (
        select count(distinct starts_at at time zone time_zone - starts_at at time zone 'UTC') as offsets
        from appointments a join doctors d on d.id = doctor_id
        where time_zone in ('Europe/Berlin', 'America/New_York', 'Pacific/Auckland', 'Australia/Lord_Howe')
        group by time_zone) each_zone";
    assert_eq!(number(&mut clinic, clocks).await, 2);

    let (opens, closes) = (i64::from(OPENS_AT_EARLIEST), i64::from(CLOSES_AT_LATEST));
    let local = "select (extract(hour from starts) * 60 + extract(minute from starts))::bigint as starts,
        (extract(hour from ends) * 60 + extract(minute from ends))::bigint as ends, doctor_id::text
        from (select starts_at at time zone time_zone as starts, ends_at at time zone time_zone as ends, doctor_id
              from appointments a join doctors d on d.id = doctor_id) visits";
    let visits: Vec<(i64, i64, String)> =
        sqlx::query_as(local).fetch_all(&mut clinic).await.unwrap();
    for (starts, ends, _) in &visits {
        assert!(opens <= *starts && *ends <= closes, "{starts} to {ends}");
        assert!((15..=60).contains(&(ends - starts)), "{starts} to {ends}");
    }
    // A doctor lunches at the same hour each day: one of the three is free of visits on every day.
    let mut doctors: Vec<&String> = visits.iter().map(|(_, _, doctor)| doctor).collect();
    doctors.sort();
    doctors.dedup();
    assert_eq!(doctors.len(), 12);
    for doctor in doctors {
        let lunches = LUNCHES.iter().filter(|lunch| {
            let lunch = i64::from(**lunch);
            let back = lunch + i64::from(LUNCH_MINUTES);
            let mut own = visits.iter().filter(|visit| visit.2 == *doctor);
            own.all(|(starts, ends, _)| *ends <= lunch || *starts >= back)
        });
        assert!(lunches.count() >= 1, "doctor {doctor} has no lunch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_of_a_weekday_lie_within_the_doctors_working_hours() {
    let (_database, mut clinic) = filled(9, NOW).await;
    let outside = "select count(*) from appointments a join doctors d on d.id = doctor_id,
        lateral (select starts_at at time zone time_zone as starts, ends_at at time zone time_zone as ends) l
        where extract(isodow from starts) < 6 and not exists (
            select from working_hours w where w.doctor_id = d.id and w.weekday = extract(isodow from starts)
              and w.opens <= starts::time and w.closes >= ends::time)";
    assert_eq!(number(&mut clinic, outside).await, 0);
    let weeks = "select count(distinct doctor_id) from working_hours";
    assert_eq!(number(&mut clinic, weeks).await, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_visit_fits_its_time() {
    let (_database, mut clinic) = filled(2, NOW).await;
    let shares = "select count(*) filter (where ends_at <= $1),
        count(*) filter (where ends_at <= $1 and status = 'no_show'),
        count(*) filter (where ends_at <= $1 and status <> 'cancelled'),
        count(*) filter (where ends_at <= $1 and status not in ('completed', 'no_show', 'cancelled')),
        count(*) filter (where starts_at <= $1 and ends_at > $1 and status in ('checked_in', 'in_progress')),
        count(*) filter (where starts_at > $1 + interval '1 hour'
            and status not in ('scheduled', 'confirmed', 'cancelled')),
        count(*) filter (where created_at > $1 or updated_at < created_at)
        from appointments";
    let (past, no_shows, not_cancelled, odd_past, current, odd_future, odd_booking): (
        i64,
        i64,
        i64,
        i64,
        i64,
        i64,
        i64,
    ) = sqlx::query_as(shares)
        .bind(at(NOW))
        .fetch_one(&mut clinic)
        .await
        .unwrap();
    assert!((3_800..4_300).contains(&past), "{past} in the past");
    let rate = no_shows as f64 / not_cancelled as f64;
    assert!((0.15..0.25).contains(&rate), "no-show rate {rate}");
    assert_eq!((odd_past, odd_future, odd_booking), (0, 0, 0));
    assert!(current > 0);

    let statuses = "select count(distinct status) from appointments";
    assert_eq!(number(&mut clinic, statuses).await, 7);
    let twins = "select count(*) from appointments a join appointments b
        on a.doctor_id = b.doctor_id and a.starts_at = b.starts_at and a.id < b.id";
    assert!(number(&mut clinic, twins).await > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clinic_is_quiet_at_weekends_and_busy_in_winter() {
    let (_database, mut clinic) = filled(3, NOW).await;
    let at_weekends = "select count(*) from appointments a join doctors d on d.id = doctor_id
        where extract(isodow from starts_at at time zone time_zone) > 5";
    let at_weekends = number(&mut clinic, at_weekends).await;
    assert!(
        (1..300).contains(&at_weekends),
        "{at_weekends} of 6000 at weekends"
    );
    let of_month = "select count(*) from appointments where doctor_id = any(
        select id from doctors where time_zone in ('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'UTC'))
        and to_char(starts_at, 'YYYY-MM') = ";
    let (january, october) = (
        format!("{of_month}'2026-01'"),
        format!("{of_month}'2025-10'"),
    );
    let count = |sql: String| sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql));
    let january = count(january).fetch_one(&mut clinic).await.unwrap();
    let october = count(october).fetch_one(&mut clinic).await.unwrap();
    assert!(
        january > october,
        "{january} in January, {october} in October"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_doctor_has_a_full_day_even_on_a_sunday_night() {
    let sunday = "2026-03-15T21:30:00Z";
    let (_database, mut clinic) = filled(4, sunday).await;
    let lists = "select count(*) filter (where (starts_at at time zone time_zone)::date
            = ($2 at time zone time_zone)::date), count(*) filter (where starts_at > $2)
        from appointments a join doctors d on d.id = doctor_id where doctor_id = $1 and active";
    let (today, upcoming): (i64, i64) = sqlx::query_as(lists)
        .bind(FIRST_DOCTOR)
        .bind(at(sunday))
        .fetch_one(&mut clinic)
        .await
        .unwrap();
    assert!(today >= 7, "{today} today");
    assert!(upcoming >= 100, "{upcoming} to come");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_in_every_script() {
    let (_database, mut clinic) = filled(5, NOW).await;
    for characters in [
        "[a-z]",
        "[À-ž]",
        "[Ѐ-ӿ]",
        "[Ͱ-Ͽ]",
        "[一-鿿]",
        "[ぁ-ヿ]",
        "[가-힣]",
        "[؀-ۿ]",
        "[ऀ-ॿ]",
    ] {
        let names = "select count(*) from patients where full_name ~ $1";
        let names: i64 = sqlx::query_scalar(names)
            .bind(characters)
            .fetch_one(&mut clinic)
            .await
            .unwrap();
        assert!(names > 0, "no name in {characters}");
    }
    let reachable = "select count(*) from patients
        where phone is not null and email is not null and date_of_birth < '2026-03-11'";
    assert!((350..600).contains(&number(&mut clinic, reachable).await));
    let zones = "select count(distinct time_zone) from doctors where time_zone in ('Europe/Berlin', 'UTC',
        'America/New_York', 'Asia/Kolkata', 'Pacific/Auckland', 'America/Sao_Paulo', 'Australia/Lord_Howe')";
    assert_eq!(number(&mut clinic, zones).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_clinic_and_a_filled_one_is_left_alone() {
    let ((_one, mut one), (_two, mut two)) = tokio::join!(filled(6, NOW), filled(6, NOW));
    let before = everything(&mut one).await;
    assert!(before.len() > 1_000_000);
    assert!(
        before == everything(&mut two).await,
        "one seed, two clinics"
    );

    let again = sample::generate(&mut one, Size::Small, 7, at(NOW), |_, _| {
        panic!("nothing is to be done");
    });
    assert_eq!(again.await.unwrap(), Summary::Already);
    assert!(
        before == everything(&mut one).await,
        "a filled clinic changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "400 000 rows: run it alone, for its time"]
async fn the_medium_clinic() {
    let database = Database::builder().start().await.unwrap();
    let mut clinic = empty_clinic(&database).await;
    let mut last = (0, 0);
    let mut bar = sample::on_stderr("sample");
    let begun = Instant::now();
    let summary = sample::generate(&mut clinic, Size::Medium, 8, at(NOW), |done, total| {
        bar(done, total);
        last = (done, total);
    });
    let generated = Summary::Generated {
        doctors: 120,
        patients: 40_000,
        appointments: 400_000,
    };
    assert_eq!(summary.await.unwrap(), generated);
    assert_eq!(last, (400_000, 400_000));
    println!(
        "400 000 appointments in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    database.shutdown().await.unwrap();
}
