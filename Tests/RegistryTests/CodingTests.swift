import Foundation
import RegistryModel
import Testing

@testable import Registry

@Suite struct CodingTests {
    struct Settings: Codable, Equatable {
        struct Server: Codable, Equatable {
            var host: String
            var port: UInt16
            var weight: Double
        }
        enum Mode: String, Codable { case quick, careful }

        var name: String
        var mode: Mode
        var isOn: Bool
        var offset: Int
        var limit: UInt64?
        var tags: [String]
        var key: [UInt8]
        var servers: [Server]
        var labels: [String: String]
    }

    private func tree(_ value: some Encodable) throws -> RegistryTree {
        let encoder = TreeEncoder(codingPath: [])
        try value.encode(to: encoder)
        return encoder.tree
    }

    @Test func structuresComeBackAsTheyWere() throws {
        let settings = Settings(
            name: "a", mode: .careful, isOn: true, offset: -7, limit: nil, tags: ["x", "y"],
            key: [1, 2, 255],
            servers: [.init(host: "h", port: 80, weight: 0.1), .init(host: "i", port: 81, weight: 2)],
            labels: ["k": "v"])
        let back = try Settings(from: TreeDecoder(tree: try tree(settings), codingPath: []))
        #expect(back == settings)
    }

    @Test func valuesHaveTheTypesOfWindows() throws {
        let settings = ["text": "t"]
        guard case .key(let members) = try tree(settings), case .value(let value) = members["text"] else {
            Issue.record("no key")
            return
        }
        #expect(value == .string("t"))
        guard case .value(.multiString(["a"])) = try tree(["a"]) else {
            Issue.record("no list")
            return
        }
    }

    @Test func whatIsMissingOrOfAnotherTypeIsSaid() throws {
        let tree = RegistryTree.key(["HOST": .value(.string("h")), "port": .value(.string("many"))])
        #expect(throws: DecodingError.self) {
            try Settings.Server(from: TreeDecoder(tree: tree, codingPath: []))
        }
        let small = RegistryTree.key(["Name": .value(.dword(3))])
        struct Named: Decodable { var name: UInt8 }
        #expect(try Named(from: TreeDecoder(tree: small, codingPath: [])).name == 3)
        let large = RegistryTree.key(["Name": .value(.dword(300))])
        #expect(throws: DecodingError.self) { try Named(from: TreeDecoder(tree: large, codingPath: [])) }
    }
}
