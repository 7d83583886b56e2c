import CGuise
import Foundation
import GuiseProtocol
import Testing

/// Parts of the model that only show in what accounts were given.
@Suite("Integrity and traversal", .asRoot)
struct ModelTests {
    private func change(_ stage: Stage, _ name: String, _ fill: (inout WireAccountChange) -> Void) throws {
        try stage.ask(
            .accountChange(
                .with {
                    $0.name = name; fill(&$0)
                }))
    }

    @Test("a low client writes nothing that is labelled medium or not at all, whatever the DACL says")
    func low() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            try change(stage, "alice", { $0.level = 0x1000 })
            let client = try scene.service.client(scene.alice)
            #expect(try client.ask("client").value?.contains(" Low ") == true)
            let full = "O:{alice}G:SYD:(A;;FA;;;{alice})(A;OICI;FA;;;WD)"
            let bare = try stage.managedFile(scene.root + "/bare", "x", full, for: scene.alice)
            let medium = try stage.managedFile(
                scene.root + "/medium", "x", full + "S:(ML;;NW;;;ME)", for: scene.alice)
            let low = try stage.managedFile(
                scene.root + "/low", "x", full + "S:(ML;;NW;;;LW)", for: scene.alice)
            let secret = try stage.managedFile(
                scene.root + "/secret", "x", full + "S:(ML;;NWNR;;;ME)", for: scene.alice)
            for path in [bare, medium, secret] {
                #expect(try client.acting("open \(path) \(Flags.write)").errno == EACCES, "\(path)")
                #expect(try client.acting("syscall \(SYS_unlink) @\(path)").errno == EACCES, "\(path)")
                #expect(try scene.bobs.acting("open \(path) \(Flags.write)").number != nil, "\(path)")
            }
            for path in [bare, medium, low] {
                #expect(try client.acting("cat \(path)").value == "x", "\(path)")
            }
            #expect(try client.acting("cat \(secret)").errno == EACCES)
            #expect(try client.acting("open \(low) \(Flags.write)").number != nil)
            // What it makes in a folder that it may write carries no more trust than itself.
            let folder = try stage.managedFolder(
                scene.root + "/folder", full + "S:(ML;OICI;NW;;;LW)", for: scene.alice)
            #expect(try client.acting("open \(folder)/made \(Flags.write | Flags.create)").number != nil)
            #expect(
                try client.acting("open \(scene.root)/none \(Flags.write | Flags.create)").errno == EACCES)
        }
    }

    @Test("a client above the service's level is refused when the service was given a lower one")
    func lowService() throws {
        try onStage { stage in
            let (alice, files) = (try stage.user("alice"), try stage.service("files"))
            try change(stage, "files", { $0.level = 0x1000 })
            let client = try stage.serve(files).client(alice)
            #expect(try client.ask("impersonate").thrown == "integrityTooHigh")
            try change(stage, "alice", { $0.level = 0x1000 })
            let next = try stage.serve(files).client(alice)
            #expect(try next.ask("impersonate").value != nil)
            try change(stage, "files", { $0.usualIntegrity = true })
            #expect(throws: (any Error).self) { try change(stage, "Users", { $0.level = 0x1000 }) }
            #expect(throws: (any Error).self) { try change(stage, "alice", { $0.level = 5 }) }
        }
    }

    @Test("directories are passed without a right on them by SeChangeNotify, and without it by TRAVERSE")
    func traverse() throws {
        try onScene { (scene) throws in
            let stage = scene.stage
            let closed = try stage.managedFolder(scene.root + "/closed", "O:BAG:SYD:P(A;;FA;;;SY)")
            let open = try stage.managedFolder(
                scene.root + "/open", "O:BAG:SYD:P(A;;FA;;;SY)(A;;WP;;;{alice})", for: scene.alice)
            for folder in [closed, open] {
                try stage.managedFile(
                    folder + "/file", "hers", "O:BAG:SYD:P(A;;FR;;;{alice})", for: scene.alice)
            }
            for folder in [closed, open] {
                #expect(try scene.client.acting("cat \(folder)/file").value == "hers")
                #expect(try scene.client.acting("syscall \(SYS_stat) @\(folder)/file #144").value != nil)
            }
            try change(stage, "Users", { $0.revoke = ["SeChangeNotifyPrivilege"] })
            // The root's own folder asks, too.
            try stage.describe(scene.root, Stage.fill("D:(A;;0x20;;;{alice})", [scene.alice]))
            let client = try scene.service.client(scene.alice)
            #expect(try client.acting("cat \(closed)/file").errno == EACCES)
            #expect(try client.acting("syscall \(SYS_stat) @\(closed)/file #144").errno == EACCES)
            #expect(try client.acting("cat \(open)/file").value == "hers")
            #expect(try client.acting("syscall \(SYS_stat) @\(open)/file #144").value != nil)
            try change(stage, "alice", { $0.grant = ["SeChangeNotifyPrivilege"] })
            #expect(try scene.service.client(scene.alice).acting("cat \(closed)/file").value == "hers")
        }
    }
}
