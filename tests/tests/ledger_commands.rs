//! The commands that show and move the books: `balance` and `receipts …`.
#![allow(clippy::unwrap_used, reason = "a story ends there")]

use stories::{Home, Value, World, ask, engine::MODEL, eventually, home::vectors, json};

#[tokio::test]
async fn balance_shows_what_the_running_node_shows() {
    let world = World::start().await;
    world.gateway.answer(&ask(MODEL, "earn something")).await;
    for (node, sign) in [(&world.gateway, -1), (&world.worker, 1)] {
        let shown = node.home().run(&["balance", "--json"]).await.ok().json();
        let served = node.get_json("/balance").await;
        for (key, value) in served.as_object().unwrap() {
            assert_eq!(&shown[key], value, "{key}");
        }
        assert_eq!((&served["pubkey"], &served["bootstrapAllowance"]), (&json!(node.id), &json!(10_000)));
        let own = &served["self"];
        assert_eq!(own["net"].as_i64().unwrap().signum(), sign);
        assert_eq!(own["net"], json!(own["earned"].as_i64().unwrap() - own["spent"].as_i64().unwrap()));
        assert_eq!(own["available"], json!(10_000 + own["net"].as_i64().unwrap()));
        let totals = &served["totals"];
        assert_eq!((&totals["receipts"], &totals["earned"]), (&json!(1), &totals["spent"]));
        assert_eq!(served["perPeer"].as_array().unwrap().len(), 2);
        let told = node.home().run(&["balance"]).await.ok().stdout;
        assert!(told.contains(&node.id.to_string()), "{told}");
    }
}

#[tokio::test]
async fn whom_a_node_owes_its_owner_is_told_and_no_tool() {
    let world = World::start().await;
    world.gateway.answer(&ask(MODEL, "earn something")).await;
    let gateway = &world.gateway;
    let told = eventually("both show the same", async || {
        let told = gateway.owner_json("/balance").await;
        (told == gateway.home().run(&["balance", "--json"]).await.ok().json()).then_some(told)
    })
    .await;
    let with = &told["peers"][0];
    assert_eq!((&with["pubkey"], with["owedToMe"].as_u64()), (&json!(world.worker.id), Some(0)), "{told}");
    assert!(with["owedByMe"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(gateway.get_json("/balance").await.get("peers"), None);
}

#[tokio::test]
async fn receipts_are_listed_newest_first_beside_the_running_node() {
    let world = World::start().await;
    for at in 0..3 {
        world.gateway.answer(&ask(MODEL, &format!("number {at}"))).await;
    }
    let home = world.gateway.home();
    let listed = async || home.run(&["receipts", "list", "--json"]).await.ok().json();
    let all = eventually("every receipt is acknowledged", async || {
        let all = listed().await.as_array().unwrap().clone();
        all.iter().all(|entry| entry["state"] == "settled").then_some(all)
    })
    .await;
    assert_eq!(all.len(), 3);
    let completed: Vec<u64> =
        all.iter().map(|entry| entry["receipt"]["completedAt"].as_u64().unwrap()).collect();
    assert!(completed.is_sorted_by(|a, b| a >= b), "{completed:?}");
    assert!(all.iter().all(|entry| entry["signature"].as_str().unwrap().len() == 128));
    let one = home.run(&["receipts", "list", "--json", "--limit", "1"]).await.ok().json();
    assert_eq!(one, json!([all[0]]));
    let served = world.gateway.get_json("/ledger?limit=2").await;
    assert_eq!((&served["total"], &served["returned"]), (&json!(3), &json!(2)));
    assert_eq!(served["receipts"][0]["signature"], all[0]["signature"]);
    let table = home.run(&["receipts", "list"]).await.ok().stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
}

#[tokio::test]
async fn an_export_is_verified_and_imported_elsewhere_once() {
    let world = World::start().await;
    for at in 0..3 {
        world.gateway.answer(&ask(MODEL, &format!("number {at}"))).await;
    }
    let exported = world.gateway.home().run(&["receipts", "export"]).await.ok().stdout;
    assert_eq!(exported.lines().count(), 3);
    let elsewhere = Home::new();
    let file = elsewhere.write("export.jsonl", &exported);
    let path = file.to_str().unwrap();
    let verified = elsewhere.run(&["receipts", "verify", path, "--json"]).await.ok().json();
    assert_eq!((&verified["total"], &verified["good"], &verified["bad"]), (&json!(3), &json!(3), &json!([])));
    let kinds = ["settled", "claimed", "disputed", "alone"].map(|kind| &verified["proves"][kind]);
    assert_eq!(kinds.map(|sum| sum["receipts"].as_u64().unwrap()).iter().sum::<u64>(), 3, "{verified}");
    let receipts = world.gateway.home().receipts().await;
    let charged = receipts.iter().map(|entry| entry["receipt"]["credits"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(kinds.map(|sum| sum["credits"].as_u64().unwrap()).iter().sum::<u64>(), charged, "{verified}");
    let told = elsewhere.run(&["receipts", "verify", path]).await.ok().stdout;
    assert!(
        told.starts_with("3 of 3 receipts good\n") && told.contains("neither side can deny it"),
        "{told}"
    );
    let piped = elsewhere.run_with_input(&["receipts", "verify", "-", "--json"], &file).await.ok().json();
    assert_eq!(piped, verified);

    let imported = elsewhere.run(&["receipts", "import", path, "--json"]).await.ok().json();
    assert_eq!((&imported["new"], &imported["already"]), (&json!(3), &json!(0)));
    let again = elsewhere.run_with_input(&["receipts", "import", "-", "--json"], &file).await.ok().json();
    assert_eq!((&again["new"], &again["already"]), (&json!(0), &json!(3)));
    assert_eq!(elsewhere.run(&["receipts", "export"]).await.ok().stdout, exported);
    elsewhere.assert_audit_is_clean().await;
    let balance = elsewhere.run(&["balance", "--json"]).await.ok().json();
    assert_eq!(balance["self"]["net"], 0, "they are between others");
}

#[tokio::test]
async fn a_file_with_bad_lines_is_told_line_by_line() {
    let world = World::start().await;
    world.gateway.answer(&ask(MODEL, "one")).await;
    let good = world.gateway.home().run(&["receipts", "export"]).await.ok().stdout;
    let tampered = good.replacen("\"outputTokens\":", "\"outputTokens\":1", 1);
    let elsewhere = Home::new();
    let file = elsewhere.write("mixed.jsonl", &format!("{good}not json\n\n{tampered}"));
    let path = file.to_str().unwrap();
    let said = elsewhere.run(&["receipts", "verify", path, "--json"]).await;
    assert_eq!(said.code(), 1);
    let report = said.json();
    assert_eq!((&report["total"], &report["good"]), (&json!(3), &json!(1)), "{report}");
    let lines: Vec<&Value> = report["bad"].as_array().unwrap().iter().map(|bad| &bad["line"]).collect();
    assert_eq!(lines, [&json!(2), &json!(4)]);
    assert!(report["bad"][1]["reason"].as_str().unwrap().contains("signature"), "{report}");

    let said = elsewhere.run(&["receipts", "import", path]).await;
    assert_eq!(said.code(), 1);
    assert!(said.stdout.contains("1 new") && said.stdout.contains("line 4"), "{}", said.stdout);
    assert_eq!(elsewhere.receipts().await.len(), 1, "the good one is kept");
}

#[tokio::test]
async fn a_line_of_the_first_lobstahs_ledger_is_taken_over_as_it_is() {
    // A home for each: all the vectors have one nonce, which counts once in a ledger.
    for case in vectors("receipts.json") {
        let (home, name) = (Home::new(), &case["name"]);
        let file = home.write("ledger.jsonl", &format!("{}\n", case["signed"]));
        let import = home.run(&["receipts", "import", file.to_str().unwrap(), "--json"]).await;
        if case["valid"] == false {
            assert_eq!((import.code(), import.json()["refused_total"].clone()), (1, json!(1)), "{name}");
            assert_eq!(home.receipts().await.len(), 0, "{name}");
            continue;
        }
        assert_eq!(import.ok().json()["new"], 1, "{name}");
        assert_eq!(home.receipts().await[0]["receipt"], case["signed"]["receipt"], "{name}");
        home.assert_audit_is_clean().await;
        let exported = home.write("exported.jsonl", &home.run(&["receipts", "export"]).await.ok().stdout);
        let verified = home.run(&["receipts", "verify", exported.to_str().unwrap(), "--json"]).await.ok();
        let verified = verified.json();
        assert_eq!(
            (&verified["total"], &verified["good"], &verified["bad"]),
            (&json!(1), &json!(1), &json!([]))
        );
    }
}
