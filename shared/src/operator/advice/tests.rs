//! What is advised, and when nothing can be said.

use super::*;
use crate::operator::template;

const TEMPLATE: &str = "
Resources:
  DoctorsFunction: { Type: AWS::Serverless::Function, Metadata: { BuildProperties: { Binary: doctors } } }
  HealthFunction: { Type: AWS::Serverless::Function, Metadata: { BuildProperties: { Binary: health } } }
";

fn functions() -> Vec<Function> {
    template::parse(TEMPLATE, &template::Parameters::new())
        .unwrap()
        .functions
}

fn deployed(function: &str, environments: u32, limit: u32) -> Deployed {
    Deployed {
        demand: Demand {
            function: function.to_owned(),
            environments,
            managed: limit > 1,
            connection_limit: NonZeroU32::new(limit).unwrap(),
        },
        shared_environments: limit > 1,
    }
}

/// A hundred looks at a ceiling of 40, and at one function's sessions.
fn looks(sessions: impl Fn(usize) -> u32) -> (Observed, Seen) {
    let look = Look {
        sessions: 1,
        ceiling: 40,
        slots: 97,
    };
    let observed = Observed {
        looks: vec![look; 100],
        ..Observed::default()
    };
    let seen = Seen {
        sessions: (0..100).map(sessions).collect(),
        ..Seen::default()
    };
    (observed, seen)
}

fn ask(deployed: &[Deployed], observed: &Observed) -> Advice {
    advise(&Question {
        deployed,
        skipped: &[],
        functions: &functions(),
        observed,
        looks: LOOKS,
        other_clients: 7,
    })
}

/// What is advised for `doctors`, deployed with these limits.
fn advice(environments: u32, limit: u32, seen: (Observed, Seen)) -> Recommendation {
    let (mut observed, seen) = seen;
    observed.functions.insert("doctors".to_owned(), seen);
    let deployed = [deployed("DoctorsFunction", environments, limit)];
    let mut advice = ask(&deployed, &observed);
    assert_eq!(advice.unknown, Vec::<String>::new());
    advice.functions.pop().unwrap()
}

#[test]
fn too_few_looks_say_nothing() {
    let (mut observed, mut seen) = looks(|_| 1);
    observed.looks.truncate(59);
    seen.sessions.truncate(59);
    let advice = advice(20, 1, (observed, seen));
    assert_eq!(advice.action, Action::CannotTell);
    assert_eq!(advice.why, "59 looks are too few; 60 are needed");
}

#[test]
fn what_is_hardly_used_is_lowered_to_its_peak_and_a_quarter() {
    let advice = advice(20, 1, looks(|look| if look == 7 { 8 } else { 2 }));
    assert_eq!(
        (advice.action, advice.advised_environments),
        (Action::Lower, 10)
    );
    assert_eq!((advice.peak, advice.p99), (8, 2));
}

#[test]
fn one_high_peak_keeps_a_limit_that_is_idle_otherwise() {
    let advice = advice(20, 1, looks(|look| if look == 7 { 18 } else { 2 }));
    assert_eq!(advice.action, Action::Keep);
}

#[test]
fn a_burst_that_no_look_saw_keeps_a_limit() {
    let at_once = |concurrency| {
        let (observed, mut seen) = looks(|_| 2);
        seen.concurrency = Some(concurrency);
        advice(20, 1, (observed, seen))
    };
    assert_eq!(at_once(18).action, Action::Keep);
    let less = at_once(8);
    assert_eq!(
        (less.action, less.advised_environments),
        (Action::Lower, 10)
    );
    assert_eq!(less.why, "it never needed more than 8 of 20 sessions");
    // Environments that serve several at once say nothing of how many there are.
    let (observed, mut seen) = looks(|_| 2);
    seen.concurrency = Some(40);
    assert_eq!(advice(10, 2, (observed, seen)).action, Action::Lower);
    let unseen = advice(20, 1, looks(|_| 2));
    assert!(
        unseen.why.contains("ConcurrentExecutions"),
        "{}",
        unseen.why
    );
}

#[test]
fn nothing_is_lowered_to_nothing() {
    let advice = advice(5, 1, looks(|_| 0));
    assert_eq!(
        (advice.action, advice.advised_environments),
        (Action::Lower, 1)
    );
}

#[test]
fn full_alone_is_right_and_full_with_waits_is_raised() {
    assert_eq!(advice(8, 1, looks(|_| 8)).action, Action::Keep);
    let (observed, mut seen) = looks(|_| 8);
    seen.acquire_waits = vec![250.0; 10];
    let advice = advice(8, 1, (observed, seen));
    assert_eq!(
        (advice.action, advice.advised_environments),
        (Action::Raise, 10)
    );
    assert_eq!(advice.acquire_wait_p99, Some(250.0));
}

#[test]
fn throttles_raise_and_a_busy_database_does_not() {
    let (observed, mut seen) = looks(|_| 3);
    seen.counts.throttles = Some(1);
    seen.counts.database_busy = 5;
    assert_eq!(advice(4, 1, (observed, seen)).advised_environments, 5);
    let (observed, mut seen) = looks(|_| 4);
    seen.counts.database_busy = 5;
    seen.acquire_waits = vec![900.0];
    let advice = advice(4, 1, (observed, seen));
    assert_eq!(advice.action, Action::Keep);
    assert!(advice.why.contains("ceiling"), "{}", advice.why);
}

#[test]
fn a_full_pool_raises_the_connection_limit_where_environments_are_shared() {
    let (observed, mut seen) = looks(|_| 6);
    seen.counts.pool_timeouts = 1;
    let advice = advice(3, 2, (observed, seen));
    assert_eq!(advice.action, Action::Raise);
    assert_eq!(
        (
            advice.advised_environments,
            advice.advised_connection_limit.get()
        ),
        (3, 3)
    );
}

#[test]
fn no_raise_goes_beyond_the_ceiling() {
    let (mut observed, mut urgent) = looks(|_| 18);
    let mut other = urgent.clone();
    urgent.counts.throttles = Some(90);
    other.counts.throttles = Some(1);
    observed.functions.insert("doctors".to_owned(), urgent);
    observed.functions.insert("health".to_owned(), other);
    let deployed = [
        deployed("HealthFunction", 17, 1),
        deployed("DoctorsFunction", 17, 1),
    ];
    let advice = ask(&deployed, &observed);
    let [health, doctors] = &advice.functions[..] else {
        panic!("{advice:?}");
    };
    assert_eq!(
        (health.action, doctors.action),
        (Action::Keep, Action::Raise)
    );
    assert!(health.why.contains("no room"), "{}", health.why);
    assert_eq!((advice.ceiling, advice.advised_budget), (Some(40), 39));
    assert!(advice.changes() && !advice.incomplete());
}

#[test]
fn other_clients_come_out_of_what_the_role_could_have() {
    let (mut observed, seen) = looks(|_| 1);
    observed.functions.insert("doctors".to_owned(), seen);
    for (slots, ceiling) in [(97, 40), (47, 40), (46, 39), (5, 0)] {
        for look in &mut observed.looks {
            look.slots = slots;
        }
        let advice = ask(&[deployed("DoctorsFunction", 20, 1)], &observed);
        assert_eq!(advice.ceiling, Some(ceiling), "{slots}");
    }
}

#[test]
fn whoever_may_be_somebody_unknown_keeps_the_limit() {
    let (mut observed, seen) = looks(|_| 1);
    observed
        .functions
        .insert("doctors".to_owned(), seen.clone());
    let deployed = [
        deployed("DoctorsFunction", 1, 1),
        deployed("HealthFunction", 20, 1),
    ];
    let health = |observed: &Observed| ask(&deployed, observed).functions.remove(1);
    assert_eq!(health(&observed).action, Action::Lower);
    observed.functions.insert("clinic-health".to_owned(), seen);
    let unseen = health(&observed);
    assert_eq!(
        (unseen.action, unseen.advised_environments),
        (Action::CannotTell, 20)
    );
    assert!(unseen.why.contains("not in the template"), "{}", unseen.why);
}

#[test]
fn nothing_and_what_was_skipped_cannot_be_told() {
    let (observed, _) = looks(|_| 1);
    assert!(ask(&[], &observed).incomplete());
    let advice = Advice {
        skipped: vec![Skipped {
            function: "HealthFunction".to_owned(),
            why: "it has no bound".to_owned(),
        }],
        ..ask(&[deployed("DoctorsFunction", 1, 1)], &observed)
    };
    assert!(advice.incomplete());
}

#[test]
fn a_name_of_its_own_is_the_only_one() {
    let text = TEMPLATE.replace(
        "Metadata: { BuildProperties: { Binary: health } }",
        "Properties: { FunctionName: the-clinics-own-health }",
    );
    let parse = |text: &str| {
        let template = template::parse(text, &template::Parameters::new());
        template.unwrap().functions
    };
    let functions = parse(&text);
    let known = |name: &str| logical_id(name, &functions);
    assert_eq!(known("the-clinics-own-health"), Some("HealthFunction"));
    assert_eq!(known("the-clinics-own~12ab"), Some("HealthFunction"));
    assert_eq!(known("prod-HealthFunction-AbC123dEf456"), None);
    let later = parse(&text.replace("the-clinics-own-health", "!Sub '${Name}-health'"));
    assert_eq!(logical_id("prod-HealthFunction-AbC123dEf456", &later), None);
}

#[test]
fn names_are_known_as_sessions_and_metrics_show_them() {
    let functions = functions();
    let known = |name: &str| logical_id(name, &functions);
    assert_eq!(known("doctors"), Some("DoctorsFunction"));
    assert_eq!(
        known("prod-DoctorsFunction-AbC123dEf456"),
        Some("DoctorsFunction")
    );
    assert_eq!(
        known("a-long-name-of-a-stack-DoctorsFun~12ab"),
        Some("DoctorsFunction")
    );
    // Too little is left, nothing is left, and another stack's.
    assert_eq!(known("a-long-name-of-a-stack-Doc~12ab"), None);
    assert_eq!(known("another"), None);
    assert_eq!(known("prod-PatientsFunction-AbC123dEf456"), None);
}

#[test]
fn recordings_may_hold_other_lines_but_not_those_alone() {
    let mut observed = Observed::default();
    let invocation = r#"{"_aws":{},"function_name":"doctors","Duration":2.0,"AcquireWait":1.5,"DatabaseBusy":1}"#;
    let text = format!("START RequestId: 1\n{invocation}\n{{\"level\":\"INFO\"}}\n");
    observed.read(&text).unwrap();
    let seen = &observed.functions["doctors"];
    assert_eq!((seen.acquire_waits[0], seen.counts.database_busy), (1.5, 1));
    assert_eq!(Observed::default().read("START\n{}\n"), Err(Unreadable));
}

#[test]
fn the_99th_of_100_is_not_the_last() {
    let mut values: Vec<u32> = (1..=100).rev().collect();
    assert_eq!(percentile(&mut values), Some(99));
    assert_eq!(percentile(&mut [7]), Some(7));
    assert_eq!(percentile::<u32>(&mut []), None);
}
