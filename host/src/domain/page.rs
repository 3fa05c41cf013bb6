//! Lists in pages. Pure.

/// Rows of a page unless the client says otherwise.
const USUAL: u32 = 100;
/// Rows of a page at most.
pub const MOST: u32 = 500;

/// Which part of a list is wanted: what follows a row that was seen, so that rows that come and go
/// meanwhile neither repeat nor hide others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub limit: u32,
    /// The place of the last row of the page before: the number that rows are ordered by, then the id.
    pub after: Option<(i64, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error("Invalid limit: a whole number from 1 to {MOST}")]
    Limit,
    #[error("Invalid after: use the `next` of the page before, as it is")]
    After,
}

impl Page {
    /// From `?limit=…&after=…`. A larger limit than [`MOST`] is taken as that.
    ///
    /// # Errors
    /// Where `limit` is no whole number from 1, or `after` nothing that [`Page::next`] made.
    pub fn read(limit: Option<&str>, after: Option<&str>) -> Result<Self, PageError> {
        let limit = match limit {
            None => USUAL,
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse::<u64>().map_or(MOST, |limit| limit.min(u64::from(MOST)) as u32)
            }
            Some(_) => return Err(PageError::Limit),
        };
        if limit == 0 {
            return Err(PageError::Limit);
        }
        let place = |text: &str| {
            let (number, id) = text.split_once('.')?;
            Some((number.parse().ok()?, id.to_owned()))
        };
        let after = after.map(|text| place(text).ok_or(PageError::After)).transpose()?;
        Ok(Self { limit, after })
    }

    /// Cuts a page out of rows of which one more than [`Page::limit`] was asked for; with what
    /// `after` is for the next one, if there is one.
    pub fn cut<T>(&self, mut rows: Vec<T>, place: impl Fn(&T) -> (i64, String)) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next = rows.last().filter(|_| more).map(|row| {
            let (number, id) = place(row);
            format!("{number}.{id}")
        });
        (rows, next)
    }

    /// Rows to ask for: one more than are shown.
    pub fn wanted(&self) -> u32 {
        self.limit + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_are_read() {
        assert_eq!(Page::read(None, None), Ok(Page { limit: USUAL, after: None }));
        assert_eq!(Page::read(Some("7"), Some("-5.a.b")), Ok(Page { limit: 7, after: Some((-5, "a.b".into())) }));
        for limit in ["99999999999999999999999", "501"] {
            assert_eq!(Page::read(Some(limit), None).unwrap().limit, MOST);
        }
        // http-api.md W23: no lenient numbers.
        for bad in ["", "0", "-1", "1.5", "12abc", " 3", "1e3"] {
            assert_eq!(Page::read(Some(bad), None), Err(PageError::Limit), "{bad}");
        }
        for bad in ["", "x", "x.y", "12"] {
            assert_eq!(Page::read(None, Some(bad)), Err(PageError::After), "{bad}");
        }
    }

    proptest! {
        /// Page by page one sees every row once.
        #[test]
        fn pages_join_to_the_whole(mut rows in prop::collection::vec((0_i64..5, "[a-c.]{1,3}"), 0..40), limit in 1_u32..7) {
            rows.sort();
            rows.dedup();
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = Page::read(Some(&limit.to_string()), after.as_deref()).unwrap();
                let rest = rows.iter().filter(|row| page.after.as_ref().is_none_or(|place| *row > place));
                let (shown, next) = page.cut(rest.take(page.wanted() as usize).cloned().collect(), Clone::clone);
                seen.extend(shown);
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(seen, rows);
        }
    }
}
