import ArgumentParser
import Registry
import RegistryFiles
import RegistryHives
import RegistryModel
import ToolSupport

extension RegCommand {
    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Carry out what a registry file says, or take in a Windows hive file.",
            discussion: """
                Examples:
                  reg import acme.reg
                  ssh host reg export HKLM/Software/Acme - | reg import -
                  reg import NTUSER.DAT --to HKLM/Software/Old

                Registry files are of version 5 or REGEDIT4, as regedit, Wine and Samba write
                them. A file that is malformed anywhere changes nothing. Up to some 1,500
                changes are made together or not at all; more are made in parts of as many.

                A hive file (of Windows, or made by hivexsh or reged) goes below the key that
                --to names, with the descriptors of its keys; a key's inherited entries are
                those of its new place. Owners that are others take SeRestorePrivilege.
                """)

        @Argument(help: "The file; - is standard input.", completion: .file())
        var file: String
        @Option(
            help: "Where a hive file's keys are to go.", completion: KeyArgument.completion,
            transform: KeyArgument.path)
        var to: RegistryPath?
        @Flag(help: "Leave a hive file's descriptors out: its keys inherit theirs.")
        var withoutDescriptors = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var registry: RegistryOptions

        func run() throws {
            let source = try ImportSource(file)
            var importer = Importer(registry)
            do {
                if try source.isHive {
                    guard let to else {
                        throw ToolError("\(file) is a hive file; say --to which key it goes")
                    }
                    guard file != "-" else {
                        throw ToolError("a hive file does not come through standard input; name the file")
                    }
                    try importHive(to, &importer)
                } else {
                    guard to == nil, !withoutDescriptors else {
                        throw ToolError(
                            "\(file) is no hive file; --to and --without-descriptors are for these")
                    }
                    try source.read { _, _ in }
                    var progress = Progress("importing", total: source.size)
                    defer { progress.end() }
                    try source.read { entry, done in
                        try importer.take(entry)
                        progress.show(done)
                    }
                    try importer.finish()
                }
            } catch let error as RegistryError where importer.hasCommitted {
                throw ToolError("\(error) (some of the file was imported before that)")
            }
            let count = importer.count
            if output.json { return try JSON.show(count) }
            var parts = ["\(count.keys) keys", "\(count.values) values"]
            if count.deletedKeys > 0 { parts.append("\(count.deletedKeys) keys deleted") }
            if count.deletedValues > 0 { parts.append("\(count.deletedValues) values deleted") }
            Tool.say("Imported: " + parts.joined(separator: ", "))
        }

        #if Hives
            private func importHive(_ target: RegistryPath, _ importer: inout Importer) throws {
                do {
                    // Once to its end, so that a damaged file changes nothing.
                    let first = try HiveFile(path: file)
                    if first.isDirty {
                        Tool.warn(
                            "\(file) was not closed properly: its last changes are in its log files, and left out"
                        )
                    }
                    var total = 0
                    while try first.next() != nil { total += 1 }
                    var progress = Progress("importing", total: total)
                    defer { progress.end() }
                    let hive = try HiveFile(path: file)
                    while let key = try hive.next() {
                        var change = KeyChange(try RegistryPath(target.hive, target.names + key.names))
                        (change.className, change.isLink) = (
                            key.className ?? "", key.isLink && !key.names.isEmpty
                        )
                        if !withoutDescriptors { change.descriptor = key.descriptor }
                        for value in key.values { change.set(value.name, value.value) }
                        try importer.take(change)
                        progress.show(importer.count.keys)
                    }
                    try importer.finish()
                } catch let error as HiveError { throw ToolError("\(error)") }
            }
        #else
            private func importHive(_ target: RegistryPath, _ importer: inout Importer) throws {
                throw ToolError("\(file) is a hive file, and this reg was built without the trait Hives")
            }
        #endif
    }
}
