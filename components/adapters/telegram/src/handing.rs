//! Hands events to the host, so that one that it will never take keeps back neither itself nor others.

use std::slice;

use mercury_plugin::inbox::{Error, Event, Happening, Outcome};

/// Characters of an event's id that the host takes, with room to spare.
const MOST_ID: usize = 400;

/// Stores all in one go, with the cursor. Where the host will never take them so, each is tried alone: what
/// is taken then is known when all come again, and of what is refused only remains that it happened, so that
/// the cursor passes it. `passed_over` hears why.
///
/// # Errors
/// What the host says to all of them, or to one for a reason that is not the event's.
pub fn hand_over(
    events: &mut [Event],
    cursor: Option<&str>,
    mut store: impl FnMut(&[Event], Option<&str>) -> Result<Vec<Outcome>, Error>,
    mut passed_over: impl FnMut(&Event, &str),
) -> Result<Vec<Outcome>, Error> {
    match store(events, cursor) {
        Err(Error::Invalid(_)) => {}
        stored => return stored,
    }
    for event in &mut *events {
        match store(slice::from_ref(event), None) {
            Err(Error::Invalid(reason)) => {
                // Its name may be the reason, and must not be one again.
                event.id = event.id.chars().filter(|c| !c.is_control()).take(MOST_ID).collect();
                event.happening = Happening::Other(format!("was not taken: {reason}"));
                passed_over(event, &reason);
            }
            stored => drop(stored?),
        }
    }
    store(events, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host's end: it takes all or none, and knows again what it took.
    #[derive(Default)]
    struct Host {
        taken: Vec<(String, String)>,
        cursor: Option<String>,
        /// Calls, by how many events each brought.
        calls: Vec<usize>,
        /// What it says to the call of this number.
        odd: Option<(usize, Error)>,
    }

    impl Host {
        fn store(&mut self, events: &[Event], cursor: Option<&str>) -> Result<Vec<Outcome>, Error> {
            self.calls.push(events.len());
            if let Some((_, error)) = self.odd.take_if(|(call, _)| *call == self.calls.len()) {
                return Err(error);
            }
            // As the host's own check: nothing but ids stands in lines of the log.
            let is_odd = |id: &str| id.chars().any(char::is_control) || id.chars().count() > 512;
            for event in events {
                let conversation = match &event.happening {
                    Happening::Removed(conversation) => conversation.as_str(),
                    _ => "",
                };
                if let Some(odd) = [event.id.as_str(), conversation].into_iter().find(|id| is_odd(id)) {
                    return Err(Error::Invalid(format!("{odd:?} is no id")));
                }
            }
            for event in events {
                if !self.taken.iter().any(|(id, _)| *id == event.id) {
                    self.taken.push((event.id.clone(), format!("{:?}", event.happening)));
                }
            }
            self.cursor = cursor.map(str::to_owned).or(self.cursor.take());
            Ok(Vec::new())
        }

        fn take(&mut self, events: &[Event]) -> (Result<(), Error>, Vec<String>) {
            let mut passed_over = Vec::new();
            let handed = hand_over(
                &mut events.to_vec(),
                Some("3"),
                |events, cursor| self.store(events, cursor),
                |event, reason| passed_over.push(format!("{}: {reason}", event.id)),
            );
            (handed.map(drop), passed_over)
        }
    }

    fn removed(id: &str, conversation: &str) -> Event {
        Event { id: id.into(), happening: Happening::Removed(conversation.into()) }
    }

    #[test]
    fn what_is_taken_is_handed_over_once() {
        let mut host = Host::default();
        assert_eq!(host.take(&[removed("1", "telegram:1"), removed("2", "telegram:2")]), (Ok(()), vec![]));
        assert_eq!((host.calls, host.taken.len(), host.cursor.as_deref()), (vec![2], 2, Some("3")));
    }

    #[test]
    fn one_that_is_refused_takes_no_neighbour_along() {
        let mut host = Host::default();
        let events = [removed("1", "telegram:1"), removed("2", "telegram:\n"), removed("3", "telegram:3")];
        let (handed, passed_over) = host.take(&events);
        assert_eq!((handed, passed_over.len(), host.cursor.as_deref()), (Ok(()), 1, Some("3")));
        assert!(passed_over[0].starts_with("2: "), "{passed_over:?}");
        let taken: Vec<_> = host.taken.iter().map(|(id, what)| (id.as_str(), what.as_str())).collect();
        assert_eq!((taken[0].0, taken[1].0, taken.len()), ("1", "3", 3));
        assert!(taken[0].1.contains("Removed") && taken[1].1.contains("Removed"), "{taken:?}");
        assert!(taken[2].0 == "2" && taken[2].1.contains("was not taken"), "{taken:?}");
    }

    /// One whose very name is refused is named anew, or it would be refused for ever.
    #[test]
    fn a_name_that_is_refused_passes_as_well() {
        for name in ["9:1:1:callback:x\n\u{1b}[2J".to_owned(), format!("9:1:{}", "x".repeat(600))] {
            let mut host = Host::default();
            assert_eq!(host.take(&[removed(&name, "telegram:1")]).0, Ok(()), "{name:?}");
            let [(id, what)] = host.taken.as_slice() else { panic!("{:?}", host.taken) };
            assert!(id.starts_with("9:1:") && what.contains("was not taken"), "{id:?} {what}");
            assert_eq!(host.cursor.as_deref(), Some("3"));
        }
    }

    /// A host that is busy in between says nothing about the event: all come again.
    #[test]
    fn a_host_that_is_busy_refuses_nothing() {
        let mut host = Host { odd: Some((3, Error::Busy(7))), ..Host::default() };
        let events = [removed("1", "telegram:\n"), removed("2", "telegram:2")];
        assert_eq!((host.take(&events).0, host.cursor.take()), (Err(Error::Busy(7)), None));
        assert_eq!((host.take(&events).0, host.taken.len()), (Ok(()), 2));
    }
}
