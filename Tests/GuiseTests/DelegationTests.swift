import Foundation
import Guise
import Testing

@Suite("Clients who delegate", .asRoot, .withRealms)
struct DelegationTests {
    @Test("are acted for elsewhere, and below level Delegation they are not")
    func forwarded() throws {
        try onRealms { scene in
            let (stage, client) = (scene.stage, scene.client)
            let back = try stage.serve(try stage.service("back"), name: "back")
            try stage.setKeytab("back", try scene.realms.keytab("HTTP/back.a.test"))
            let backs = try back.client(scene.bob)
            let target = "HTTP@back.a.test"

            let token1 = try scene.token()
            #expect(try client.ask("context-accept i Negotiate \(token1)").value != nil)
            let below = try client.ask("context-scoped i initiate o Negotiate \(target) impersonation")
            #expect(below.thrown == "accessDenied" && below.line.contains("Delegation"), "\(below)")

            for (accepted, initiated) in [
                ("Negotiate", "Negotiate"), ("Kerberos", "Negotiate"), ("Negotiate", "Kerberos"),
            ] {
                let token = try scene.token(accepted, level: "delegation")
                #expect(try client.ask("context-accept d \(accepted) \(token)").value != nil)
                #expect(try client.ask("context d").value?.contains(" delegation ") == true)
                let first = try client.ask("context-scoped d initiate o \(initiated) \(target) impersonation")
                let words = try #require(first.value, "\(first)").split(separator: " ")
                // On record before the client's proxy knows how it ends: it is there as the client by now.
                if accepted == initiated {
                    try stage.waitForRecord("connection") {
                        $0.target == target && $0.userName?.hasSuffix("alice") == true
                    }
                }
                let answer = try backs.ask("context-accept a \(initiated) \(words[1])")
                let reply = try #require(answer.value, "\(answer)").split(separator: " ")
                #expect(try backs.ask("context-scoped a cat \(scene.hers)").value == "hers")
                #expect(
                    try backs.ask("context a").value?.contains("alice@A.TEST HTTP/back.a.test@A.TEST") == true
                )
                // The other service proves to the client's proxy who it is.
                #expect(try client.ask("context-scoped d step o \(reply[1])").value == "done -")
                #expect(
                    try client.ask("context o").value?.contains(
                        " alice@A.TEST HTTP/back.a.test@A.TEST impersonation mutual") == true)
            }
            // At less than the client allowed it is less.
            let limited = try client.ask("context-impersonate d impersonation")
            #expect(limited.value != nil)
            #expect(try client.ask("initiate o Negotiate \(target) impersonation").thrown == "accessDenied")
            try client.ask("revert")
            // It goes on to the next, who may then do the same, or not.
            let onward = try #require(
                try client.ask("context-scoped d initiate o Negotiate \(target) delegation").value)
            #expect(
                try backs.ask("context-accept b Negotiate \(onward.split(separator: " ")[1])").value != nil)
            #expect(try backs.ask("context b").value?.contains(" delegation ") == true)
            // To nobody whom the KDC does not know.
            let nowhere = try client.ask(
                "context-scoped d initiate o Negotiate HTTP@nowhere.a.test impersonation")
            #expect(nowhere.thrown == "accessDenied", "\(nowhere)")
            try stage.waitForRecord("connection") {
                $0.target == target && $0.userName?.hasSuffix("alice") == true && $0.service == "files"
            }
            // With the client's session its credentials are gone.
            let sid = try #require(
                try client.ask("context-token d").value?.split(separator: ",").first {
                    $0.hasPrefix("S-1-5-5-")
                })
            let parts = sid.split(separator: "-").suffix(2).compactMap { UInt64($0) }
            try client.ask("context-impersonate d")
            try stage.ask(.sessionEnd(.with { $0.session = parts[0] << 32 | parts[1] }))
            #expect(try client.ask("initiate o Negotiate \(target) impersonation").thrown == "accessDenied")
            try client.ask("revert")
        }
    }

    @Test("by a ticket that is not forwardable do not")
    func notForwardable() throws {
        try onRealms { scene in
            let other = try scene.initiator(scene.alice, "alice", ["-F"])
            let token = try scene.token(level: "delegation", of: other)
            #expect(try scene.client.ask("context-accept a Negotiate \(token)").value != nil)
            #expect(try scene.client.ask("context a").value?.contains(" impersonation ") == true)
            #expect(
                try scene.client.ask("context-scoped a initiate o Negotiate HTTP@files.a.test impersonation")
                    .thrown
                    == "accessDenied")
        }
    }

    @Test("keep nobody else waiting when no KDC answers")
    func deadKDC() throws {
        try onRealms { scene in
            let token2 = try scene.token(level: "delegation")
            #expect(
                try scene.client.ask("context-accept d Negotiate \(token2)").value != nil)
            let token = try scene.token()
            _ = try scene.realms.keytab("HTTP/back.a.test")
            scene.realms.kdcs["A.TEST"]?.signal(SIGSTOP)
            try scene.client.send("context-scoped d initiate o Negotiate HTTP@back.a.test impersonation")
            usleep(300_000)
            let other = try scene.service.client(scene.bob)
            let start = Date()
            #expect(try other.ask("context-accept a Negotiate \(token)").value != nil)
            #expect(try other.ask("context-scoped a cat \(scene.hers)").value == "hers")
            #expect(Date().timeIntervalSince(start) < 5)
            scene.realms.kdcs["A.TEST"]?.signal(SIGCONT)
            #expect(try scene.client.reply(seconds: 60).line.isEmpty == false)
        }
    }

    @Test(
        "or do not, are acted for where the KDC lets the service go, and nowhere else", .withDelegationLists)
    func constrained() throws {
        let trusted = ["SeImpersonatePrivilege", "SeTcbPrivilege"]
        try onRealms(inLDAP: true, delegates: true, privileges: trusted) { scene in
            let (stage, client) = (scene.stage, scene.client)
            let back = try stage.serve(try stage.service("back"), name: "back")
            try stage.setKeytab("back", try scene.realms.keytab("HTTP/back.a.test"))
            _ = try scene.realms.keytab("HTTP/other.a.test")
            let backs = try back.client(scene.bob)
            let server = try #require(scene.realms.server)

            // Nothing is delegated by the client; without a list the KDC refuses.
            let token = try scene.token()
            #expect(try client.ask("context-accept c Negotiate \(token)").value != nil)
            let early = try client.ask(
                "context-scoped c initiate o Negotiate HTTP@back.a.test impersonation")
            #expect(early.thrown == "accessDenied", "\(early)")
            try server.allow("HTTP/files.a.test", to: "HTTP/back.a.test", in: "A.TEST")
            let again = try scene.token()
            let accepted = try client.ask("context-accept d Negotiate \(again)")
            #expect(accepted.value != nil, "\(accepted)")
            #expect(try client.ask("context d").value?.contains(" delegation ") == true)
            // Who is not here, but whom the service vouches for.
            #expect(try client.ask("transition t alice@A.TEST").value == "delegation")
            for context in ["d", "t"] {
                let first = try client.ask(
                    "context-scoped \(context) initiate o Negotiate HTTP@back.a.test impersonation")
                let words = try #require(first.value, "\(first)").split(separator: " ")
                let answer = try backs.ask("context-accept \(context) Negotiate \(words[1])")
                #expect(answer.value != nil, "\(answer)")
                #expect(try backs.ask("context-scoped \(context) cat \(scene.hers)").value == "hers")
                let attributes = try backs.ask("context \(context)").value
                #expect(attributes?.contains("alice@A.TEST HTTP/back.a.test@A.TEST") == true)
                let elsewhere = try client.ask(
                    "context-scoped \(context) initiate e Negotiate HTTP@other.a.test impersonation")
                #expect(elsewhere.thrown == "accessDenied", "\(elsewhere)")
            }
        }
    }

    @Test("and those who are not here: Identification without SeTcbPrivilege, Impersonation with it")
    func transition() throws {
        try onRealms { scene in
            // Its keytab was given without --delegate.
            let refused = try scene.client.ask("transition t alice@A.TEST")
            #expect(refused.thrown == "accessDenied" && refused.line.contains("--delegate"), "\(refused)")
        }
        try onRealms(delegates: true) { scene in
            let client = scene.client
            #expect(try client.ask("transition t alice@A.TEST").value == "identification")
            #expect(try client.ask("context-token t").value?.hasPrefix("\(scene.alice.sid) ") == true)
            #expect(try client.ask("context-scoped t cat \(scene.hers)").errno == EACCES)
            #expect(try client.ask("transition n nobody@A.TEST").thrown == "logonFailed")
            let unmapped = try client.ask("transition b bob@A.TEST").thrown
            #expect(unmapped == "logonFailed" || unmapped == "notMapped")
        }
        try onRealms(delegates: true, privileges: ["SeImpersonatePrivilege", "SeTcbPrivilege"]) { scene in
            let client = scene.client
            let level = try client.ask("transition t alice@A.TEST")
            #expect(["impersonation", "delegation"].contains(level.value), "\(level)")
            #expect(try client.ask("context-scoped t cat \(scene.hers)").value == "hers")
            try scene.stage.waitForRecord("privilege-used") { $0.privileges == ["SeTcbPrivilege"] }
        }
    }
}
