//! A run as one page for a browser: it needs no network, no script and no other file.

use std::fmt::Write as _;

use engine::Operation;

use crate::record::story::{Outcome, Story, Told, Verdict};
use crate::view::story::outcome;
use crate::view::{count, duration};

/// How the page looks: in light and dark, on paper, on a phone.
const STYLE: &str = include_str!("page.css");

/// The whole page. Everything that comes from the record is escaped, and the page forbids itself to load or run anything.
pub fn render(story: &Story) -> String {
    let mut page = String::with_capacity(16_384 + story.steps.len() * 640);
    let begin = &story.begin;
    let title = format!("{} of {}: {}", begin.command, begin.deployment, outcome(story.outcome));
    let sections = sections(story);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n",
        escaped(&title),
        filters(&sections),
    );
    head(&mut page, story);
    page += "<main>\n";
    problems(&mut page, story);
    under_way(&mut page, story);
    let not_tried = story.not_tried.iter().map(|step| {
        let because = step.because.as_ref().map_or(String::new(), |because| format!("because of {because}"));
        (step.title.clone(), because)
    });
    list(&mut page, "not-tried", "Not tried", not_tried);
    timeline(&mut page, story, &sections);
    checks(&mut page, story);
    changes(&mut page, story);
    facts(&mut page, story);
    page += "</main>\n";
    let _ = write!(page, "<footer>{}</footer>\n</body>\n</html>\n", escaped(&written_by(story)));
    page
}

fn written_by(story: &Story) -> String {
    let begin = &story.begin;
    let unread = match story.unread_lines {
        0 => String::new(),
        lines => format!(" {} of the record could not be read.", count(lines, "line")),
    };
    format!(
        "Run {} of {}, by infra {} as {}@{}.{unread}",
        begin.run, begin.deployment, begin.infra, begin.user, begin.host
    )
}

/// A text that can stand in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // What a terminal takes for colours is no text.
            letter if letter.is_control() && letter != '\n' && letter != '\t' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The groups of steps, in the order in which they come.
fn sections(story: &Story) -> Vec<&str> {
    let mut sections: Vec<&str> = Vec::new();
    for step in &story.steps {
        if !sections.contains(&step.section.as_str()) {
            sections.push(&step.section);
        }
    }
    sections
}

/// What hides the rows of a section whose box is not ticked; the sheet does it, not a script.
fn filters(sections: &[&str]) -> String {
    let rule = |index: usize| format!("body:has(#show-{index}:not(:checked)) tr.section-{index}{{display:none}}\n");
    (0..sections.len()).map(rule).collect()
}

fn head(page: &mut String, story: &Story) {
    let begin = &story.begin;
    let place = story.provider().map_or(String::new(), |provider| format!(" on {provider}"));
    let when = begin.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let _ = write!(
        page,
        "<header>\n<p class=\"badge {class}\">{word}</p>\n<h1>{command} of {name}{place}</h1>\n\
         <p class=\"command\"><code>{line}</code></p>\n<dl class=\"figures\">\n",
        class = class_of(story.outcome),
        word = outcome(story.outcome),
        command = escaped(&begin.command),
        name = escaped(&begin.deployment),
        place = escaped(&place),
        line = escaped(&begin.command_line),
    );
    let done = story.steps.iter().filter(|step| matches!(step.verdict, Verdict::Done | Verdict::Unchanged)).count();
    let planned = story.decided.as_ref().map_or(0, |decided| decided.steps.len()).max(done);
    let figures = [
        ("began", when.to_string()),
        ("took", duration(story.whole_seconds())),
        ("steps done", format!("{done} of {planned}")),
        ("failed", story.failures().count().to_string()),
        ("longest chain", duration(story.chain_seconds)),
        ("exit code", story.end.as_ref().map_or("none".to_owned(), |end| end.exit_code.to_string())),
    ];
    for (name, value) in figures {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value));
    }
    *page += "</dl>\n</header>\n";
}

fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done | Outcome::NothingToDo => "good",
        Outcome::Interrupted | Outcome::Running => "open",
        Outcome::Failed | Outcome::Killed => "bad",
    }
}

/// What went wrong, before anything else.
fn problems(page: &mut String, story: &Story) {
    let end = story.end.as_ref().filter(|end| !end.causes.is_empty());
    let is_killed = story.outcome == Outcome::Killed;
    if story.failures().next().is_none() && end.is_none() && !is_killed {
        return;
    }
    *page += "<section id=\"failures\">\n<h2>What went wrong</h2>\n";
    if is_killed {
        *page += "<article class=\"failure\">\n<h3>The process of this run ended without a word</h3>\n\
                  <p>It was killed, or its machine lost its power. The same command goes on from there.</p>\n</article>\n";
    }
    if let Some(end) = end {
        let title = format!("failed to {}", end.causes[0]);
        let _ = writeln!(page, "<article class=\"failure\">\n<h3>{}</h3>", escaped(&title));
        causes(page, &end.causes[1..], end.hint.as_deref());
        *page += "</article>\n";
    }
    for step in story.failures() {
        let _ = writeln!(
            page,
            "<article class=\"failure\">\n<h3>{} <span class=\"took\">after {}</span></h3>",
            escaped(&step.label()),
            duration(step.seconds)
        );
        causes(page, &step.causes, None);
        for blocker in step.untold_blockers() {
            let told = format!("{}: {}. {}", blocker.subject, blocker.cause, blocker.message);
            let _ = writeln!(page, "<p>{}</p>", escaped(told.trim()));
        }
        for (subject, lines) in step.logs() {
            log(page, &format!("the last lines of {subject}"), lines);
        }
        log(page, "what was printed last", &step.output);
        causes(page, &[], step.hint.as_deref());
        *page += "</article>\n";
    }
    *page += "</section>\n";
}

fn causes(page: &mut String, causes: &[String], hint: Option<&str>) {
    if !causes.is_empty() {
        *page += "<ol class=\"causes\">\n";
        for cause in causes {
            let _ = writeln!(page, "<li>{}</li>", escaped(cause));
        }
        *page += "</ol>\n";
    }
    if let Some(hint) = hint {
        let _ = writeln!(page, "<p class=\"hint\"><b>What to do:</b> {}</p>", escaped(hint));
    }
}

fn log(page: &mut String, label: &str, lines: &[String]) {
    if !lines.is_empty() {
        let (label, text) = (escaped(label), escaped(&lines.join("\n")));
        let _ = writeln!(page, "<figure><figcaption>{label}</figcaption><pre tabindex=\"0\">{text}</pre></figure>");
    }
}

fn under_way(page: &mut String, story: &Story) {
    let heading = if story.outcome == Outcome::Running { "Under way" } else { "Under way when it ended" };
    let steps = story.under_way().map(|step| (step.label(), step.said.clone().unwrap_or_default()));
    list(page, "under-way", heading, steps);
}

fn list(page: &mut String, id: &str, heading: &str, items: impl Iterator<Item = (String, String)>) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    let _ = write!(page, "<section id=\"{id}\">\n<h2>{heading}</h2>\n<ul class=\"names\">\n");
    for (title, remark) in items {
        let _ = writeln!(page, "<li>{} <span class=\"remark\">{}</span></li>", escaped(&title), escaped(&remark));
    }
    *page += "</ul>\n</section>\n";
}

/// A table whose last column is a time axis: it reads as a table where bars cannot be seen.
fn timeline(page: &mut String, story: &Story, sections: &[&str]) {
    if story.steps.is_empty() {
        return;
    }
    *page += "<section id=\"timeline\">\n<h2>Where the time went</h2>\n<form class=\"filters\" aria-label=\"Which steps are shown\">\n";
    for (index, section) in sections.iter().enumerate() {
        let steps = story.steps.iter().filter(|step| step.section == *section).count();
        let _ = writeln!(
            page,
            "<label><input type=\"checkbox\" id=\"show-{index}\" checked> {} <small>{steps}</small></label>",
            escaped(section)
        );
    }
    *page += "<label class=\"chain-only\"><input type=\"checkbox\" id=\"only-chain\"> only the longest chain</label>\n</form>\n";
    let dense = if story.steps.len() > 60 { " dense" } else { "" };
    let _ = write!(
        page,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Timeline of the steps\"><table class=\"timeline{dense}\">\n\
         <caption>Every step in the order in which they began. <b class=\"key chain\"></b> on the longest chain of steps that had to \
         wait for each other, {}; <b class=\"key\"></b> beside it; <b class=\"key failed\"></b> failed; \
         <b class=\"key open\"></b> not ended. \
         A thin line is a milestone that others waited for.</caption>\n\
         <thead><tr><th scope=\"col\">step</th><th scope=\"col\" class=\"number\">began at</th><th scope=\"col\" class=\"number\">took</th>\
         <th scope=\"col\" class=\"axis\">",
        duration(story.chain_seconds)
    );
    axis(page, story.seconds);
    *page += "</th></tr></thead>\n<tbody>\n";
    for step in &story.steps {
        row(page, step, story.seconds, sections);
    }
    *page += "</tbody></table></div>\n</section>\n";
}

/// Round marks on the time axis, at most ten of them.
fn axis(page: &mut String, seconds: f64) {
    let steps =
        [0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let every = steps.into_iter().find(|step| seconds / step <= 8.0).unwrap_or(seconds / 8.0);
    *page += "<span class=\"ticks\" aria-hidden=\"true\">";
    let mut at = 0.0;
    while every > 0.0 && at <= seconds * 0.93 {
        let label = if at == 0.0 { "0".to_owned() } else { mark(at) };
        let _ = write!(page, "<i style=\"left:{:.3}%\">{label}</i>", percent(at, seconds));
        at += every;
    }
    *page += "</span><span class=\"hidden\">when it ran</span>";
}

/// A time on the axis, as short as can be.
fn mark(at: f64) -> String {
    if at < 1.0 {
        format!("{:.0} ms", at * 1000.0)
    } else if at < 60.0 {
        format!("{} s", (at * 10.0).round() / 10.0)
    } else {
        format!("{:.0}:{:02.0}", (at / 60.0).floor(), at % 60.0)
    }
}

fn percent(part: f64, all: f64) -> f64 {
    if all > 0.0 { (part / all * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

fn row(page: &mut String, step: &Told, all: f64, sections: &[&str]) {
    let section = sections.iter().position(|section| *section == step.section).unwrap_or_default();
    let (class, verdict) = match step.verdict {
        Verdict::Done => ("", ""),
        Verdict::Unchanged => ("", ", unchanged"),
        Verdict::Failed => (" failed", ", failed"),
        Verdict::GivenUp => (" open", ", given up"),
        Verdict::UnderWay => (" open", ", not ended"),
    };
    let chain = if step.is_on_chain { " chain" } else { "" };
    let on_chain = if step.is_on_chain { ", on the longest chain" } else { "" };
    let word = match step.operation {
        Operation::Create if step.lasting => "make",
        Operation::Create if step.is_check() => "ask",
        Operation::Create => "wait for",
        Operation::Update => "change",
        Operation::Delete => "remove",
    };
    let took = duration(step.seconds);
    let tip = format!("{word} {}: {took}, from {} on{verdict}{on_chain}", step.title, duration(step.began));
    let width = percent(step.seconds, (all - step.began).max(step.seconds).max(1e-9));
    let left = percent(step.began, all);
    let _ = write!(
        page,
        "<tr class=\"section-{section}{chain}{class}\"><th scope=\"row\"><span class=\"what\">{word}</span> {}\
         <span class=\"hidden\">{verdict}{on_chain}</span></th><td class=\"number\">{}</td><td class=\"number\">{took}</td>\
         <td class=\"axis\"><span class=\"lane\" style=\"left:{left:.3}%\"><span class=\"bar\" style=\"width:{width:.3}%\" title=\"{}\"></span>",
        escaped(&step.title),
        duration(step.began),
        escaped(&tip),
    );
    for (name, at) in &step.milestones {
        let tip = format!("{}: {name} after {}", step.title, duration(at - step.began));
        let at = percent(at - step.began, (all - step.began).max(1e-9));
        let _ = write!(page, "<span class=\"milestone\" style=\"left:{at:.3}%\" title=\"{}\"></span>", escaped(&tip));
    }
    *page += "</span></td></tr>\n";
}

fn checks(page: &mut String, story: &Story) {
    let checks: Vec<&Told> = story.steps.iter().filter(|step| step.is_check()).collect();
    if checks.is_empty() {
        return;
    }
    *page += "<section id=\"checks\">\n<h2>Checks</h2>\n<table>\n<thead><tr><th scope=\"col\">check</th>\
              <th scope=\"col\">answer</th><th scope=\"col\" class=\"number\">took</th></tr></thead>\n<tbody>\n";
    for step in checks {
        let (class, answer) = match step.verdict {
            Verdict::Failed => ("bad", step.causes.join(": ")),
            Verdict::Done | Verdict::Unchanged => ("good", step.said.clone().unwrap_or_default()),
            Verdict::GivenUp | Verdict::UnderWay => ("open", "no answer".to_owned()),
        };
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\"><span class=\"dot {class}\"></span>{}</th><td>{}</td><td class=\"number\">{}</td></tr>",
            escaped(&step.title),
            escaped(&answer),
            duration(step.seconds)
        );
    }
    *page += "</tbody></table>\n</section>\n";
}

fn changes(page: &mut String, story: &Story) {
    let changes = story.changes();
    if changes.is_empty() {
        return;
    }
    *page += "<section id=\"changes\">\n<h2>What changed</h2>\n";
    for (word, steps) in changes {
        let open = if steps.len() > 40 { "" } else { " open" };
        let _ = write!(page, "<details{open}>\n<summary>{} {word}</summary>\n<ul class=\"names\">\n", steps.len());
        for step in steps {
            let fields = story.fields(step).join(", ");
            let (title, fields) = (escaped(&step.title), escaped(&fields));
            let _ = writeln!(page, "<li>{title} <span class=\"remark\">{fields}</span></li>");
        }
        *page += "</ul>\n</details>\n";
    }
    *page += "</section>\n";
}

fn facts(page: &mut String, story: &Story) {
    let Some(end) = &story.end else { return };
    let addresses = story.decided.iter().flat_map(|decided| &decided.addresses);
    let addresses = addresses.filter(|_| end.exit_code == 0);
    let addresses: Vec<(&str, &str)> =
        addresses.map(|address| (address.service.as_str(), address.url.as_str())).collect();
    table(page, "addresses", "Addresses", &addresses);
    let images: Vec<(&str, &str)> =
        end.images.iter().map(|image| (image.title.as_str(), image.digest.as_str())).collect();
    table(page, "images", "Images", &images);
    let gone: Vec<(String, String)> =
        end.gone.iter().map(|(what, number)| (what.clone(), number.to_string())).collect();
    let gone: Vec<(&str, &str)> = gone.iter().map(|(what, number)| (what.as_str(), number.as_str())).collect();
    table(page, "gone", "Looked up and found gone", &gone);
}

fn table(page: &mut String, id: &str, heading: &str, rows: &[(&str, &str)]) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(page, "<section id=\"{id}\">\n<h2>{heading}</h2>\n<table>\n<tbody>\n");
    for (name, value) in rows {
        let shown = escaped(value);
        let shown = if value.starts_with("http://") || value.starts_with("https://") {
            format!("<a href=\"{shown}\" rel=\"noreferrer\">{shown}</a>")
        } else {
            format!("<code>{shown}</code>")
        };
        let _ = writeln!(page, "<tr><th scope=\"row\">{}</th><td>{shown}</td></tr>", escaped(name));
    }
    *page += "</tbody></table>\n</section>\n";
}
