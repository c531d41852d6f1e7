use super::*;

fn user(name: &str, grants: &str) -> User {
    User {
        name: name.into(),
        password: Some(Hash("old".into())),
        grants: Grants(grants.split_whitespace().map(|it| it.parse().unwrap()).collect()),
        created_at: Timestamp(1),
        created_by: "root".into(),
    }
}

fn pass(id: &str, of: &str, purpose: Purpose, made: u64, ends: u64) -> Pass {
    Pass {
        id: id.into(),
        user: of.into(),
        purpose,
        hash: Hash("secret".into()),
        scope: None,
        note: String::new(),
        created_at: Timestamp(made),
        created_by: of.into(),
        expires_at: Timestamp(ends),
        used_at: None,
    }
}

impl Accounts {
    /// Wishes it, and lives with it.
    fn now(&mut self, at: u64, wish: Wish) -> Result<usize, String> {
        let changes = self.decide(Timestamp(at), wish).map_err(|it| it.to_string())?;
        for Change { key, record } in &changes {
            self.apply(key, record.as_ref());
        }
        Ok(changes.len())
    }

    fn ids(&self) -> String {
        self.passes.keys().cloned().collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn somebody_who_may_administer_is_always_left() {
    let mut all = Accounts::default();
    let add = |it: &str, grants: &str| Wish::AddUser(user(it, grants));
    let told = all.now(1, add("bob", "read-only")).unwrap_err();
    assert!(told.contains("first user has to be an admin"), "{told}");
    assert!(all.are_none());
    assert_eq!(all.now(1, add("ada", "admin")), Ok(1));
    assert_eq!(all.now(1, add("bob", "kill:www")), Ok(1));
    assert!(all.now(1, add("bob", "admin")).unwrap_err().contains("already"));
    assert!(all.now(1, add("a b", "admin")).unwrap_err().contains("cannot be a user's name"));
    assert!(all.now(1, add("eve", "")).unwrap_err().contains("granted nothing"));

    let remove = |it: &str| Wish::RemoveUser { name: it.into() };
    let demote = |it: &str| Wish::SetGrants { name: it.into(), grants: Grants::read_only() };
    assert!(all.now(1, remove("ada")).unwrap_err().contains("last who may administer"));
    assert!(all.now(1, demote("ada")).unwrap_err().contains("last who may administer"));
    assert!(all.now(1, remove("eve")).unwrap_err().contains("no user eve"));
    let promote = Wish::SetGrants { name: "bob".into(), grants: Grants::admin() };
    assert_eq!(all.now(1, promote), Ok(1));
    assert_eq!(all.now(1, demote("ada")), Ok(1));
    assert_eq!(all.now(1, remove("ada")), Ok(1));
    assert_eq!(all.users.keys().collect::<Vec<_>>(), ["bob"]);
}

#[test]
fn passes_end_with_their_user_and_sessions_with_the_password() {
    let mut all = Accounts::default();
    for name in ["ada", "bob"] {
        all.now(1, Wish::AddUser(user(name, "admin"))).unwrap();
    }
    for (id, of, purpose) in [
        ("s1", "ada", Purpose::Session),
        ("t1", "ada", Purpose::Token),
        ("s2", "bob", Purpose::Session),
    ] {
        all.now(2, Wish::Issue(pass(id, of, purpose, 2, 100))).unwrap();
    }
    let stranger = Wish::Issue(pass("x", "eve", Purpose::Token, 2, 100));
    assert!(all.now(2, stranger).unwrap_err().contains("no user eve"));
    let change = Wish::SetPassword { name: "ada".into(), password: Hash("new".into()) };
    assert_eq!(all.now(3, change), Ok(2));
    assert_eq!(all.ids(), "s2 t1");
    assert_eq!(all.users["ada"].password, Some(Hash("new".into())));

    let revoke = |user: &str| Wish::Revoke { user: user.into(), id: "t1".into() };
    assert!(all.now(3, revoke("bob")).unwrap_err().contains("bob has no token t1"));
    assert_eq!(all.now(3, Wish::RemoveUser { name: "ada".into() }), Ok(2));
    assert_eq!(all.ids(), "s2");
}

#[test]
fn what_has_expired_goes_and_sessions_make_room_for_new_ones() {
    let mut all = Accounts::default();
    all.now(1, Wish::AddUser(user("ada", "admin"))).unwrap();
    for i in 0..SESSIONS_MAX + 2 {
        let made = 10 + i as u64;
        let it = pass(&format!("s{i:03}"), "ada", Purpose::Session, made, 1000);
        all.now(made, Wish::Issue(it)).unwrap();
    }
    assert_eq!(all.passes.len(), SESSIONS_MAX);
    assert!(!all.passes.contains_key("s001") && all.passes.contains_key("s002"), "oldest first");
    all.now(1000, Wish::Issue(pass("new", "ada", Purpose::Token, 1000, 2000))).unwrap();
    assert_eq!(all.ids(), "new");
    for i in 1..TOKENS_MAX {
        let it = pass(&format!("t{i}"), "ada", Purpose::Token, 1000, 2000);
        all.now(1000, Wish::Issue(it)).unwrap();
    }
    let more = Wish::Issue(pass("more", "ada", Purpose::Token, 1000, 2000));
    assert!(all.now(1000, more).unwrap_err().contains("revoke some"));
}

#[test]
fn a_use_is_written_down_now_and_then() {
    let mut all = Accounts::default();
    all.now(1, Wish::AddUser(user("ada", "admin"))).unwrap();
    all.now(1, Wish::Issue(pass("t", "ada", Purpose::Token, 1, u64::MAX))).unwrap();
    let used = || Wish::Used { id: "t".into() };
    assert_eq!(all.now(5, used()), Ok(1));
    assert_eq!(all.now(6, used()), Ok(0));
    assert_eq!(all.now(5 + USE_NOTED_EVERY_MS, used()), Ok(1));
    assert_eq!(all.now(7, Wish::Used { id: "gone".into() }), Ok(0));
}

#[test]
fn hashes_are_not_shown() {
    let shown = format!("{:?} {:?}", user("ada", "admin"), pass("t", "a", Purpose::Token, 1, 2));
    assert!(!shown.contains("old") && !shown.contains("secret"), "{shown}");
}
