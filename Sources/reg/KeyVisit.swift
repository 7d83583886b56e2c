import Registry
import RegistryModel
import ToolSupport

/// A walk through a key and those below it, each before what is below it. Links are not followed.
final class KeyVisit {
    private let registry: RegistryOptions
    private let isRecursive: Bool
    /// Whether a key below could not be read, and was told about.
    private(set) var hasSkipped = false

    init(registry: RegistryOptions, isRecursive: Bool) {
        (self.registry, self.isRecursive) = (registry, isRecursive)
    }

    /// - Throws: what opening the first key throws, and `body`. What is refused below is passed over.
    func go(through path: RegistryPath, _ body: (RegistryPath, RegistryKey) throws -> Void) throws {
        let first = try registry.open(path)
        try body(path, first)
        guard isRecursive else { return }
        // What is still to come, the next one last: a tree is as deep as somebody made it.
        var rest = try below(path, first)
        while let path = rest.popLast() {
            do {
                let key = try registry.open(path, options: .openLink)
                rest += try below(path, key)
                try body(path, key)
            } catch RegistryError.keyNotFound, RegistryError.keyDeleted {
                // Gone meanwhile.
            } catch let error as RegistryError {
                hasSkipped = true
                Tool.warn("\(path): \(error)")
            }
        }
    }

    private func below(_ path: RegistryPath, _ key: RegistryKey) throws(RegistryError) -> [RegistryPath] {
        if try key.information().isLink { return [] }
        var paths: [RegistryPath] = []
        for subkey in try key.subkeys().reversed() { paths.append(try path.appending(subkey.name)) }
        return paths
    }
}
