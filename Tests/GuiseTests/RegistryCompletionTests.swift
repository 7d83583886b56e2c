import Foundation
import Testing

/// The tab key, in shells on a terminal of their own.
@Suite("Completion of keys", .asRoot)
struct RegistryCompletionTests {
    /// Names that shells take for something else, and in which key a value tells that it was found.
    private let names = [
        "Some Key", #"It's "odd" & so;"#, "a:b", "$(touch taken)", "`touch taken`", "';touch taken;'",
        "\u{301}accent", "'\u{301};touch taken",
    ]

    private func onShell(
        _ shell: [String], setUp: String, environment: [String: String] = [:], _ words: [(String, String)]
    ) throws {
        try onRegistryTool { (scene) throws in
            for name in names {
                let added = try scene.reg("add", #"HKLM\"# + name, "-v", "v", "-d", "found in \(name)")
                try #require(added.status == 0, "\(added)")
            }
            let script = try scene.stage.run([product("reg"), "--generate-completion-script", setUp])
            let folder = scene.stage.folder("home")
            try scene.stage.file("home/_reg", script.output)
            let prepare = [
                "bash": "source ./_reg",
                "zsh": "autoload -Uz compinit && compinit -u -D && source ./_reg",
            ]
            // The prompt is not what is typed.
            var conversation = [
                (after: "ready>", typed: "cd \(folder) && \(prepare[setUp] ?? "")\n"),
                (after: "ready>", typed: ""),
            ]
            for (typed, name) in words {
                conversation.append((after: "", typed: typed + "\t"))
                conversation.append((after: "", typed: "\n"))
                conversation.append((after: "found in \(name)", typed: ""))
                conversation.append((after: "ready>", typed: ""))
            }
            // All of them, and none of them.
            conversation += [
                (after: "", typed: "reg query HKLM/\t\t"), (after: "accent", typed: "\u{15}exit\n"),
            ]
            let talk = try scene.stage.converse(
                with: shell,
                environment: [
                    "PS1": "ready> ", "PROMPT": "ready> ", "HOME": folder, "INPUTRC": "/dev/null",
                    "LANG": "C.UTF-8",
                    "PATH": "\(buildDirectory):/usr/bin:/bin",
                ].merging(environment) { $1 }, conversation)
            #expect(talk.output.contains("touch taken"), "\(talk.output)")
            #expect(!FileManager.default.fileExists(atPath: folder + "/taken"), "\(talk.output)")
        }
    }

    @Test("works in bash")
    func bash() throws {
        try onShell(
            ["/bin/bash", "--norc", "--noprofile", "-i"], setUp: "bash",
            [
                ("reg query HKLM/So", "Some Key"), (#"reg query hklm/some\ k"#, "Some Key"),
                (#"reg query "HKLM/Some K"#, "Some Key"), ("reg query 'HKLM/Some K", "Some Key"),
                (#"reg query HKLM\\Some\ K"#, "Some Key"), ("reg query HKLM/It", #"It's "odd" & so;"#),
                ("reg compare HKLM/Some\\ Key HKLM/\u{301}", "\u{301}accent"),
            ])
    }

    @Test("works in zsh", .enabled(if: access("/bin/zsh", X_OK) == 0, "needs zsh"))
    func zsh() throws {
        try onShell(
            ["/bin/zsh", "-f", "-i"], setUp: "zsh",
            [
                ("reg query HKLM/So", "Some Key"), (#"reg query hklm/some\ k"#, "Some Key"),
                (#"reg query HKLM\\Some\ K"#, "Some Key"),
                ("reg query HKLM/It", #"It's "odd" & so;"#), ("reg query HKLM/a", "a:b"),
            ])
    }
}
