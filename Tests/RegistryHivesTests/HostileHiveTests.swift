#if Hives
    import AccessControl
    import Foundation
    import RegistryHives
    import RegistryModel
    import Testing

    @Suite("Hive files that mean harm")
    struct HostileHiveTests {
        private let folder: Folder
        private let descriptor: SecurityDescriptor
        /// The first key of ``minimalHive(descriptor:room:)``.
        private let root = 0x1020

        init() throws {
            folder = try Folder()
            descriptor = try SecurityDescriptor(sddl: "O:BAG:SYD:(A;;KA;;;BA)")
        }

        private func minimal(_ change: (inout [UInt8]) -> Void) throws -> HiveContents {
            var bytes = minimalHive(descriptor: descriptor.bytes)
            change(&bytes)
            return try HiveContents(try folder.file("hive", bytes))
        }

        @Test("a descriptor where none is, half a one, and none")
        func descriptors() throws {
            for place: [UInt8] in [[0, 0, 0, 0], [0, 0x70, 0, 0], [0xF0, 0xFF, 0xFF, 0x7F], [4, 0, 0, 0]] {
                #expect(throws: HiveError.self) {
                    try minimal { $0.replaceSubrange(root + 48..<root + 52, with: place) }
                }
            }
            // Its length, and its revision.
            let cell = root + 88
            #expect(throws: HiveError.self) { try minimal { $0[cell + 20] = 0xFF } }
            #expect(throws: HiveError.self) { try minimal { $0[cell + 24] = 9 } }
            #expect(try minimal { _ in }.descriptors == ["": descriptor])
            let none = try minimal { $0.replaceSubrange(root + 48..<root + 52, with: [255, 255, 255, 255]) }
            #expect(none.descriptors == [:] && none.values == ["": [:]])
        }

        @Test("class names, links and unfinished files are told")
        func rest() throws {
            let read = try minimal { bytes in
                // A cell of 16 bytes after the descriptor's, before what is free.
                let free = 0x1000 + 0x20 + 88 + (24 + descriptor.bytes.count + 7) / 8 * 8
                let left = bytes[free..<free + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) } - 16
                bytes.replaceSubrange(
                    free..<free + 10, with: [0xF0, 0xFF, 0xFF, 0xFF, 0x63, 0, 0x6C, 0, 0x73, 0])
                for index in 0..<4 {
                    bytes[free + 16 + index] = UInt8(truncatingIfNeeded: left >> (8 * index))
                }
                bytes.replaceSubrange(
                    root + 52..<root + 56, with: [UInt8(free & 0xFF), UInt8((free - 0x1000) >> 8), 0, 0])
                bytes[root + 78] = 6
                bytes[root + 6] |= 0x10
            }
            #expect(read.keys.first?.className == "cls")
            #expect(read.keys.first?.isLink == true)
            #expect(try HiveFile(path: folder.path + "/hive").isDirty == false)
            // The second sequence number, and the sum over all that is before it.
            _ = try minimal {
                $0[8] ^= 1
                $0[508] ^= 1
            }
            #expect(try HiveFile(path: folder.path + "/hive").isDirty)
        }

        @Test(
            "keys that lead back to themselves, or to one in two places",
            .enabled(if: ForeignTool.path("hivexsh") != nil, "libhivex-bin"))
        func circles() throws {
            let path = try folder.file("hive", minimalHive(descriptor: descriptor.bytes))
            let script = "add a\ncd a\nadd b\ncd ..\nadd c\ncommit\n"
            try #require(try ForeignTool.run("hivexsh", ["-w", path], input: script).status == 0)
            let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            #expect(try HiveContents(path).keys.count == 4)
            // Each list of keys in turn names the first key again. Some are of before a key was added, and nobody's.
            let lists = good.indices.dropLast(12).filter { good[$0..<$0 + 2].elementsEqual("lh".utf8) }
            let refused = try lists.filter { list in
                var bytes = good
                bytes.replaceSubrange(list + 4..<list + 8, with: [0x20, 0, 0, 0])
                let path = try folder.file("circle", bytes)
                do { return try HiveContents(path).keys.count != 4 } catch { return error is HiveError }
            }
            #expect(refused.count == 2)
        }

        @Test(
            "any bytes anywhere: an answer or a refusal, and soon",
            .enabled(if: ForeignTool.path("reged") != nil, "chntpw"))
        func mutations() throws {
            let path = try folder.file("hive", minimalHive(descriptor: descriptor.bytes))
            var text = "Windows Registry Editor Version 5.00\r\n"
            for key in 0..<12 {
                text += "\r\n[HKEY_LOCAL_MACHINE\\S\\Key \(key / 3)\\Sub \(key)]\r\n\"a\"=dword:0000002a\r\n"
                text += "\"b\"=\"text \(key)\"\r\n@=hex:01,02,03,04,05,06,07,08,09\r\n"
            }
            let file = try folder.file("in.reg", Array(text.utf8))
            _ = try ForeignTool.run("reged", ["-C", "-I", path, #"HKEY_LOCAL_MACHINE\S"#, file])
            let good = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            try #require(try HiveContents(path).keys.count == 17)
            let used = try #require(good.lastIndex { $0 != 0 })

            let seed = UInt64.random(in: 0 ... .max)
            var (state, refused) = (seed, 0)
            func below(_ limit: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % limit
            }
            let rounds = ProcessInfo.processInfo.environment["GUISE_HIVE_ROUNDS"].flatMap(Int.init) ?? 500
            let clock = ContinuousClock()
            for _ in 0..<rounds {
                var bytes = good
                for _ in 0...below(4) {
                    let at = below(4) == 0 ? below(used) : 0x1000 + below(used - 0x1000)
                    bytes[at] = [0, 1, 0x20, 0x7F, 0x80, 0xFF, UInt8(below(256))][below(7)]
                }
                if below(20) == 0 { bytes.removeLast(below(bytes.count)) }
                let path = try folder.file("bad", bytes)
                let time = clock.measure {
                    do { _ = try HiveContents(path) } catch { refused += 1 }
                }
                #expect(time < .seconds(5), "seed \(seed)")
            }
            #expect(refused > rounds / 10)
        }
    }
#endif
