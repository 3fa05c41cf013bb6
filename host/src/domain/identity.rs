//! One person under several ids of a platform: which of them count, and what becomes of the two direct
//! conversations that such a person may have.
//!
//! An *alias* is an id that an adapter knows to be another id of somebody, whom their *person*'s id names.

use super::ids::SpaceId;

/// The ids that count for somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    id: String,
    other: Option<String>,
}

impl Identity {
    /// Of somebody met as `id`: whose alias that is, if it is one, and which alias of it was learned last.
    ///
    /// Of several aliases only the newest counts. What names a person may pass on, as telephone numbers do,
    /// and whoever had it before must not be taken for the one who has it now.
    pub fn new(id: &str, person: Option<String>, newest_alias: Option<String>) -> Self {
        Self { id: id.to_owned(), other: person.or(newest_alias) }
    }

    pub fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.other.as_deref())
    }
}

/// Why two ids are not taken for one person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    #[error("`{0}` is no alias of itself")]
    Itself(String),
    #[error("`{person}` is an alias of `{of}` itself: say whose alias `{alias}` is with that id")]
    PersonIsAlias { alias: String, person: String, of: String },
    #[error("`{alias}` is a person with an alias itself, `{known}`: only one of them can name the person")]
    AliasIsPerson { alias: String, known: String },
}

/// Whether an alias may be learned, by whose alias the person is and which alias the alias has. One step leads
/// from each alias to its person, and none leads on: so nothing goes round, and no order of learning matters.
pub fn check(alias: &str, person: &str, person_of: Option<String>, alias_of: Option<String>) -> Result<(), AliasError> {
    if alias == person {
        return Err(AliasError::Itself(alias.to_owned()));
    }
    if let Some(of) = person_of {
        return Err(AliasError::PersonIsAlias { alias: alias.to_owned(), person: person.to_owned(), of });
    }
    match alias_of {
        Some(known) => Err(AliasError::AliasIsPerson { alias: alias.to_owned(), known }),
        None => Ok(()),
    }
}

/// What becomes of a person's direct conversation beside the one of their alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// Nothing: there is but one space, or none.
    None,
    /// It gets the alias's space.
    Take(SpaceId),
    /// Each has a space of its own, and keeps it. What is written under the person's id goes to the person's.
    Split { own: SpaceId, other: SpaceId },
}

/// By the spaces of both conversations, where they have one. A group is never asked about.
pub fn adoption(own: Option<SpaceId>, of_alias: Option<SpaceId>) -> Adoption {
    match (own, of_alias) {
        (_, None) => Adoption::None,
        (None, Some(space)) => Adoption::Take(space),
        (Some(own), Some(other)) if own == other => Adoption::None,
        (Some(own), Some(other)) => Adoption::Split { own, other },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(name: &str) -> SpaceId {
        SpaceId::try_from(name.to_owned()).unwrap()
    }

    #[test]
    fn the_ids_that_count() {
        let ids = |person: Option<&str>, alias: Option<&str>| {
            let identity = Identity::new("p:1", person.map(str::to_owned), alias.map(str::to_owned));
            identity.ids().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, None), ["p:1"]);
        assert_eq!(ids(None, Some("p:a")), ["p:1", "p:a"]);
        assert_eq!(ids(Some("p:b"), None), ["p:1", "p:b"]);
    }

    #[test]
    fn one_step_leads_to_a_person() {
        assert_eq!(check("p:a", "p:1", None, None), Ok(()));
        assert_eq!(check("p:1", "p:1", None, None), Err(AliasError::Itself("p:1".into())));
        let why = check("p:a", "p:b", Some("p:1".into()), None).unwrap_err().to_string();
        assert_eq!(why, "`p:b` is an alias of `p:1` itself: say whose alias `p:a` is with that id");
        assert!(matches!(check("p:1", "p:2", None, Some("p:a".into())), Err(AliasError::AliasIsPerson { .. })));
    }

    /// pipeline.md #9 in its decision.
    #[test]
    fn whose_space_it_is() {
        let (a, b) = (|| Some(space("a")), || Some(space("b")));
        assert_eq!(adoption(None, None), Adoption::None);
        assert_eq!(adoption(a(), None), Adoption::None);
        assert_eq!(adoption(None, b()), Adoption::Take(space("b")));
        assert_eq!(adoption(a(), a()), Adoption::None);
        assert_eq!(adoption(a(), b()), Adoption::Split { own: space("a"), other: space("b") });
    }
}
