import Foundation
import Testing

@Suite("What a service does to its own calls while they are under way", .asRoot)
struct InterferenceTests {
    @Test("a thread that is interrupted by signals all the time gets the right answer to every open")
    func signals() throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let his = try scene.stage.file("home/his", "his", of: scene.bob)
            let managed = try scene.stage.managedFile(
                scene.root + "/hers", "hers", "O:BAG:SYD:(A;;FA;;;{alice})", for: scene.alice)
            let secret = try scene.stage.managedFile(
                scene.root + "/secret", "secret", "O:BAG:SYD:(A;;FA;;;SY)")
            // Both connections are accepted before anything is counted.
            for client in [scene.client, scene.bobs] { _ = try client.ask("adopt") }
            let before = try scene.client.ask("descriptor-count").number
            for (own, other) in [(hers, his), (managed, secret)] {
                let storm = "storm 20 \(own) hers \(other)"
                #expect(try scene.client.ask("signalled 3000 restarting \(storm)").value == "clean")
                // Without SA_RESTART an open may come to EINTR, and to nothing else that is new.
                let hammer = "hammer 0.2 \(own) hers \(other)"
                let answer = try scene.client.ask("signalled 3000 ending \(hammer)")
                #expect(answer.value?.hasPrefix("worked true") == true, "\(answer)")
            }
            let after = try scene.client.ask("descriptor-count").number
            #expect(after == before)
        }
    }

    /// Where the names lead, of the file that is to be had and of the one that is not.
    enum Places: CaseIterable { case unix, managed, edge }

    /// Two folders with a file `file` in each, of which the second one's is a secret.
    private func onFolders(
        _ places: Places, _ body: (Scene, _ open: String, _ closed: String) throws -> Void
    ) throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let root = try stage.root(
                "shared", "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;;FRFX;;;{alice})(A;;FRFX;;;{files})",
                for: scene.alice, scene.service.account)
            let everybody = "O:BAG:SYD:(A;;FRFX;;;{alice})(A;;FRFX;;;{files})"
            let people = (scene.alice, scene.service.account)
            func folder(_ name: String, managed: Bool) throws -> String {
                managed
                    ? try stage.managedFolder("\(root)/\(name)", everybody, for: people.0, people.1)
                    : stage.folder(name, of: scene.alice)
            }
            let open = try folder("open", managed: places == .managed)
            let closed = try folder("closed", managed: places != .unix)
            if places == .managed {
                try stage.managedFile("\(open)/file", "harmless", everybody, for: people.0, people.1)
            } else {
                try stage.file("\(open)/file", "harmless", of: scene.alice, mode: 0o644)
            }
            if places == .unix {
                try stage.file("\(closed)/file", "secret", mode: 0o600)
            } else {
                try stage.managedFile("\(closed)/file", "secret", "O:BAG:SYD:(A;;FA;;;SY)")
            }
            try body(scene, open, closed)
        }
    }

    @Test("a path that is rewritten while it is opened leads to nothing more", arguments: Places.allCases)
    func paths(_ places: Places) throws {
        try onFolders(places) { (scene, open, closed) throws in
            // Slashes make up for the length.
            let size = max(open.utf8.count, closed.utf8.count) + 1
            let (first, second) = (
                open + String(repeating: "/", count: size - open.utf8.count) + "file",
                closed + String(repeating: "/", count: size - closed.utf8.count) + "file"
            )
            let command = "cat-rewritten 1500 secret \(first) \(second)"
            #expect(try scene.client.acting(command).value == "none")
            #expect(try scene.client.ask(command).value == "none")
        }
    }

    @Test(
        "a directory descriptor that is closed and reused while a name in it is opened leads to nothing more",
        arguments: Places.allCases)
    func directories(_ places: Places) throws {
        try onFolders(places) { (scene, open, closed) throws in
            _ = try scene.client.ask("impersonate")
            let numbers = try [open, closed].map {
                try #require(try scene.client.ask("open \($0) \(Flags.directory)").number)
            }
            let command = "cat-moved 1500 secret file \(numbers[0]) \(numbers[1])"
            #expect(try scene.client.ask(command).value == "none")
            _ = try scene.client.ask("revert")
            #expect(try scene.client.ask(command).value == "none")
        }
    }

    @Test(
        "who gets the id of a thread that ended while impersonating acts as the service",
        .enabled(
            if: access("/proc/sys/kernel/ns_last_pid", W_OK) == 0,
            "needs a kernel that lets root choose the next process id (CHECKPOINT_RESTORE)"),
        arguments: ["fork", "thread"])
    func recycledID(how: String) throws {
        try onScene { (scene) throws in
            let hers = try scene.stage.file("home/hers", "hers", of: scene.alice)
            let own = try scene.stage.file("home/own", "own", of: scene.service.account)
            var ended = 0
            var answer: Substring = ""
            try eventually("a \(how) with the thread's id", seconds: 60) {
                // Somebody else may be quicker, and keep the id.
                if ended == 0 || access("/proc/\(ended)", F_OK) == 0 {
                    ended = try #require(try scene.client.ask("raw-thread cat \(hers)").number)
                    try eventually("the end of the thread") {
                        access("/proc/\(scene.service.pid)/task/\(ended)", F_OK) != 0
                    }
                }
                try "\(ended - 1)".write(
                    toFile: "/proc/sys/kernel/ns_last_pid", atomically: false, encoding: .utf8)
                let reply = try scene.client.ask("\(how) all ids + cat \(hers) + cat \(own)")
                answer = try #require(reply.value?.split(separator: "/", maxSplits: 1).last)
                return answer.hasPrefix("\(ended) ")
            }
            #expect(answer == "\(ended) | ERRNO \(EACCES) | OK own")
            // And the next that impersonates is itself again.
            #expect(try scene.client.ask("thread all impersonate + cat \(hers)").value == "OK  | OK hers")
        }
    }
}
