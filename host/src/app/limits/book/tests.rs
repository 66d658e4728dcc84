use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const TAGS: [(&str, u32); 3] = [("a", 1), ("b", 2), ("c", 3)];

fn id(n: usize) -> RunId {
    RunId(Uuid::from_u128(n as u128 + 1))
}

fn book() -> Book {
    let mut book = Book::default();
    TAGS.iter().for_each(|(tag, max)| book.set_tag(&tag_name(tag), Some(*max)));
    book
}

fn child(n: usize, tags: &[&str], above: &[usize]) -> Claimant {
    let above = above.iter().map(|n| id(*n)).collect();
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    Claimant { id: id(n), root: id(1000), above, tags, order: Timestamp::from_second(n as i64).expect("in range") }
}

/// Asks, and waits where that is in vain.
fn ask(book: &mut Book, claimant: Claimant) -> Option<oneshot::Receiver<()>> {
    let on = book.ask(&claimant).err()?;
    let (grant, granted) = oneshot::channel();
    book.queue(on, Child { claimant, grant });
    Some(granted)
}

/// Lets through who can go, where nobody waits on record.
fn pass_all(book: &mut Book) {
    while let Some(name) = book.offered.pop_first() {
        if let Some(pass) = book.begin_pass(&name) {
            book.end_pass(&name, &pass, 0);
        }
    }
}

#[test]
fn children_have_their_turns_in_their_order() {
    let mut book = book();
    assert!(ask(&mut book, child(0, &["a"], &[])).is_none());
    let mut waiting: Vec<_> = [3, 1, 2].map(|n| (n, ask(&mut book, child(n, &["a"], &[])).expect("waits"))).into();
    for (last, next) in [(0, 1), (1, 2), (2, 3)] {
        book.let_go(id(last));
        pass_all(&mut book);
        waiting.retain_mut(|(n, granted)| {
            assert_eq!(granted.try_recv().is_ok(), *n == next);
            *n != next
        });
    }
}

#[test]
fn what_a_run_above_holds_is_neither_waited_for_nor_counted() {
    let mut book = book();
    assert!(ask(&mut book, child(0, &["a"], &[])).is_none());
    for n in 1..5 {
        assert!(ask(&mut book, child(n, &["a"], &[9, 0])).is_none());
    }
    assert_eq!(book.count("tag/a"), (1, 0));
    assert!(ask(&mut book, child(5, &["a"], &[9])).is_some(), "a sibling waits");
}

#[test]
fn those_on_record_come_before_the_children_that_come_after_them() {
    let mut book = book();
    assert!(ask(&mut book, child(0, &["a"], &[])).is_none());
    book.row_waits_for("tag/a");
    let mut granted = ask(&mut book, child(1, &["a"], &[])).expect("waits");
    book.let_go(id(0));
    let pass = book.begin_pass("tag/a").expect("it is free");
    assert_eq!((pass.free, pass.rows, pass.before), (1, true, Timestamp::from_second(1).ok()));
    book.end_pass("tag/a", &pass, 1);
    assert!(granted.try_recv().is_err());
    let pass = book.begin_pass("tag/a").expect("nobody took it");
    book.end_pass("tag/a", &pass, 0);
    assert!(granted.try_recv().is_ok());
}

#[test]
fn those_on_record_are_not_forgotten_while_somebody_looks_for_them() {
    let mut book = book();
    book.admit(id(0), &[("tag/a".to_owned(), 1)]).expect("it is free");
    book.row_waits_for("tag/a");
    book.let_go(id(0));
    let pass = book.begin_pass("tag/a").expect("it is free");
    // The one that was let through is over before it is known that it was.
    book.admit(id(1), &[("tag/a".to_owned(), 1)]).expect("it is free");
    book.let_go(id(1));
    book.end_pass("tag/a", &pass, 1);
    let pass = book.begin_pass("tag/a").expect("there may be more");
    // Another is turned away while nobody is found.
    book.row_waits_for("tag/a");
    book.end_pass("tag/a", &pass, 0);
    let pass = book.begin_pass("tag/a").expect("there is one");
    book.end_pass("tag/a", &pass, 0);
    assert_eq!(book.begin_pass("tag/a"), None);
    assert!(book.names.is_empty());
}

#[test]
fn a_run_that_starts_anew_keeps_what_its_last_attempt_lets_go_of_too_late() {
    let mut book = book();
    let wants = [("key/k".to_owned(), 1)];
    book.admit(id(0), &wants).expect("it is free");
    let before = book.holder(id(0)).expect("holds").admission;
    book.admit(id(0), &wants).expect("it holds it still");
    assert_ne!(book.holder(id(0)).expect("holds").admission, before);
    assert_eq!(book.admit(id(1), &wants), Err("key/k".to_owned()));
}

#[test]
fn the_least_of_what_a_run_says_of_a_name_counts() {
    let hold = |max, on_conflict| Hold { name: "d".to_owned(), max, on_conflict };
    let wants = |holds| Book::default().wants(Some(&Across { holds, ..Across::default() }), &[]);
    let [scheduled, by_hand] =
        [OnConflict::Skip, OnConflict::Allow].map(|overlap| wants(vec![hold(1, overlap), hold(3, OnConflict::Queue)]));
    assert_eq!([scheduled, by_hand], [1, 3].map(|max| vec![("d".to_owned(), max)]));
}

proptest! {
    #[test]
    fn no_maximum_is_exceeded_none_waits_for_ever_and_nothing_is_left(
        steps in proptest::collection::vec((0..4_u8, 0..12_usize, 1..8_u8), 0..200),
    ) {
        let mut book = book();
        let mut asked: HashMap<usize, Option<oneshot::Receiver<()>>> = HashMap::new();
        for (what, n, bits) in steps {
            let tags: Vec<&str> =
                TAGS.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, (tag, _))| *tag).collect();
            match (what, asked.contains_key(&n)) {
                (0 | 1, false) => drop(asked.insert(n, ask(&mut book, child(n, &tags, &[])))),
                (_, true) => {
                    asked.remove(&n);
                    book.leave(id(n));
                }
                _ => {}
            }
            pass_all(&mut book);
            for (tag, max) in TAGS {
                prop_assert!(book.count(&tag_name(tag)).0 <= max as usize);
            }
        }
        for _ in 0..asked.len() {
            let holds = |granted: &mut Option<oneshot::Receiver<()>>| granted.as_mut().is_none_or(|it| it.try_recv().is_ok());
            let next = asked.iter_mut().find_map(|(n, granted)| holds(granted).then_some(*n));
            let next = next.expect("somebody has its turn");
            asked.remove(&next);
            book.leave(id(next));
            pass_all(&mut book);
        }
        prop_assert!(book.names.is_empty() && book.held.is_empty() && book.waiting.is_empty());
    }
}
