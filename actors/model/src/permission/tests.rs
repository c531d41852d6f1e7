use super::*;

fn granted(grants: &str) -> Grants {
    Grants(grants.split_whitespace().map(|it| it.parse().unwrap()).collect())
}

/// What may be done to what, a row for each list of grants: a column for each verb, and in it which
/// of the job `www/prod/web`, the job `ads/prod/web`, the role `www` and the cluster it is granted
/// for.
#[test]
fn who_may_do_what_is_one_table() {
    let (web, ads) = (JobKey::new("www", "prod", "web"), JobKey::new("ads", "prod", "web"));
    let things =
        [('w', On::Job(&web)), ('a', On::Job(&ads)), ('r', On::Role("www")), ('c', On::Cluster)];
    let mut table = String::new();
    for grants in [
        "",
        "read-only",
        "admin",
        "*",
        "*:www",
        "kill,restart:www/prod",
        "kill:www/test",
        "create:*/prod/web",
        "kill:w*w/p*/*e*",
        "update:www/*/* quota:www",
        "cron,add",
        "hosts",
        "quota",
        "read:www",
    ] {
        let all = granted(grants);
        let cell = |verb| {
            let allowed = things.iter().filter(|(_, on)| all.allow(verb, *on));
            let names: String = allowed.map(|(name, _)| *name).collect();
            if names.is_empty() { "-".to_owned() } else { names }
        };
        let cells: Vec<_> = Verb::ALL.map(cell).into();
        table += &format!("{grants} | {}\n", cells.join(" "));
    }
    //   read create kill restart add update cron quota hosts admin
    assert_eq!(
        table,
        " | - - - - - - - - - -
read-only | warc - - - - - - - - -
admin | warc warc warc warc warc warc warc warc warc warc
* | warc warc warc warc warc warc warc - - -
*:www | warc wr wr wr wr wr wr - - -
kill,restart:www/prod | warc - w w - - - - - -
kill:www/test | warc - - - - - - - - -
create:*/prod/web | warc wa - - - - - - - -
kill:w*w/p*/*e* | warc - w - - - - - - -
update:www/*/* quota:www | warc - - - - wr - wr - -
cron,add | warc - - - warc - warc - - -
hosts | warc - - - - - - - warc -
quota | warc - - - - - - warc - -
read:www | warc - - - - - - - - -
"
    );
}

#[test]
fn grants_are_read_back_as_they_are_written() {
    for text in ["read-only", "admin", "*", "*:www", "kill,restart:www/prod/*", "quota:www"] {
        let grant: Grant = text.parse().unwrap();
        assert_eq!(grant.to_string(), text);
        let written = serde_json::to_string(&grant).unwrap();
        assert_eq!(serde_json::from_str::<Grant>(&written).unwrap(), grant);
    }
}

#[test]
fn what_is_no_grant_is_told_apart() {
    for (bad, why) in [
        ("", "there is no verb ''"),
        ("kil", "there is no verb 'kil'; there are read, create,"),
        ("kill,", "there is no verb ''"),
        ("kill:", "names no jobs"),
        ("kill:www//web", "names no jobs"),
        ("kill:a/b/c/d", "names no jobs"),
        ("kill:a b", "names no jobs"),
        ("admin:www", "'admin' cannot be granted for some jobs only"),
        ("hosts:www", "'hosts' cannot be granted"),
        ("quota:www/prod", "'quota' cannot be granted"),
    ] {
        let told = bad.parse::<Grant>().unwrap_err().to_string();
        assert!(told.contains(why), "{bad}: {told}");
    }
}

#[test]
fn stars_stand_for_anything() {
    for (pattern, yes, no) in [
        ("www", vec!["www"], vec!["www-data", "ww", ""]),
        ("*", vec!["", "a", "a.b"], vec![]),
        ("a*", vec!["a", "ab"], vec!["ba"]),
        ("*a", vec!["a", "ba", "aa"], vec!["ab"]),
        ("a*b*c", vec!["abc", "axbxbxc"], vec!["acb", "abcd", "ab"]),
        ("a*a", vec!["aa", "aba"], vec!["a"]),
    ] {
        for text in yes {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for text in no {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }
}
