import AccessControl
import Foundation
import Registry
import RegistryModel
import Synchronization
import SystemPackage

/// Keys that commands opened, in this process, whatever thread opened them.
private let openKeys = Mutex<[String: RegistryKey]>([:])

extension Session {
    /// The registry, as whom the thread acts as. Paths and names have no spaces here.
    func registry(_ words: [String]) throws -> Outcome? {
        guard words[0] == "registry" else { return nil }
        let rights = { (text: String) in RegistryAccess(rawValue: UInt32(text, radix: 16)!) }
        switch words[1] {
        case "create":
            // registry create NAME PATH RIGHTS [SDDL]
            let key = try RegistryKey.create(
                words[3], for: rights(words[4]),
                descriptor: words.count > 5 ? SecurityDescriptor(sddl: words[5]) : nil)
            openKeys.withLock { $0[words[2]] = key }
            return .value(key.isNew ? "new" : "old")
        case "open":
            // registry open NAME PATH RIGHTS [backup]
            let key = try RegistryKey.open(
                words[3], for: rights(words[4]), options: words.contains("backup") ? .backupRestore : [])
            openKeys.withLock { $0[words[2]] = key }
            return .value("\(key.path) \(String(key.granted.rawValue, radix: 16))")
        case "link":
            // registry link NAME PATH RIGHTS
            let key = try RegistryKey.create(words[3], for: rights(words[4]), options: .createLink)
            openKeys.withLock { $0[words[2]] = key }
            return .value("")
        case "close":
            openKeys.withLock { $0[words[2]] = nil }
            return .value("")
        case "load":
            // registry load COUNT: opens, queries and closes; how many microseconds each took
            let count = Int(words[2])!
            let start = ContinuousClock.now
            for _ in 0..<count { _ = try RegistryKey.open(words[3], for: .queryValue).value(words[4]) }
            return .value("\(start.duration(to: .now) / count / .microseconds(1))")
        default: break
        }
        guard let key = openKeys.withLock({ $0[words[2]] }) else { return .errno(EBADF) }
        switch words[1] {
        case "set": try key.set(words[3], words[4])
        case "set-number": try key.set(words[3], UInt32(words[4])!)
        case "get": return .value(try key.get(words[3], as: String.self) ?? "none")
        case "unset": try key.deleteValue(words[3])
        case "keys": return .value(try key.subkeys().map(\.name.text).joined(separator: ","))
        case "values": return .value(try key.values().map(\.name.text).joined(separator: ","))
        case "delete": try key.delete()
        case "delete-tree": try key.delete(tree: true)
        case "delete-below": try key.delete(words[3])
        case "delete-tree-below": try key.delete(words[3], tree: true)
        case "copy":
            guard let other = openKeys.withLock({ $0[words[3]] }) else { return .errno(EBADF) }
            try key.copy(to: other)
        case "information": return .value(try key.information().name.text)
        case "flush": try key.flush()
        case "label": return .value(try key.descriptor(.label).sddl())
        case "sacl": return .value(try key.descriptor(.sacl).sddl())
        case "set-label": try key.setDescriptor(.label, to: SecurityDescriptor(sddl: words[3]))
        case "set-sacl": try key.setDescriptor(.sacl, to: SecurityDescriptor(sddl: words[3]))
        case "rename": try key.rename(to: RegistryKeyName(words[3]))
        case "sddl": return .value(try key.descriptor([.owner, .dacl]).sddl())
        case "set-dacl": try key.setDescriptor(.dacl, to: SecurityDescriptor(sddl: words[3]))
        case "set-owner": try key.setDescriptor(.owner, to: SecurityDescriptor(sddl: words[3]))
        case "save", "restore":
            // registry save|restore NAME FILE
            let file = try FileDescriptor.open(
                words[3], words[1] == "save" ? .writeOnly : .readOnly,
                options: words[1] == "save" ? [.create, .truncate] : [], permissions: .ownerReadWrite)
            defer { try? file.close() }
            if words[1] == "save" { try key.save(to: file) } else { try key.restore(from: file) }
        case "watch":
            // registry watch NAME; `changed` says what came.
            let changes = try key.changes(includingSubtree: true)
            Task {
                for try await kinds in changes {
                    changed.withLock { $0.append(String(kinds.rawValue)) }
                }
            }
        case "changed":
            return .value(
                changed.withLock { changed in
                    defer { changed = [] }
                    return changed.joined(separator: ",")
                })
        default: return .errno(ENOTSUP)
        }
        return .value("")
    }
}

private let changed = Mutex<[String]>([])
