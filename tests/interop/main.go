// Interop verifies a whole log (C2SP tlog-tiles) with the Go project's own packages for signed notes and tiled trees,
// golang.org/x/mod/sumdb/note and tlog, which share no code with the log.
//
//	INTEROP_TOKEN=<token> interop <base URL> <verifier key>
//
// It opens the checkpoint, reads every entry, and holds to the checkpoint's root: the tree over all entries, the
// inclusion of every one, and the consistency with the tree of every smaller size. Proofs are made from the log's own
// tiles; what they have to prove is computed from the entries. The token is sent where it is set. It prints
//
//	verified: <origin>, <n> entries, <n> inclusion proofs, <n> consistency proofs, <n> tiles, <n> bundles
//
// or says on standard error what does not hold, and exits with 1; with 2 where it was called wrongly.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: INTEROP_TOKEN=<token> interop <base URL> <verifier key>")
		os.Exit(2)
	}
	summary, err := verify(&source{base: os.Args[1], token: os.Getenv("INTEROP_TOKEN")}, os.Args[2])
	if err != nil {
		fmt.Fprintf(os.Stderr, "interop: does not verify: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("verified: " + summary)
}

// verify holds a whole log to its checkpoint.
func verify(from *source, vkey string) (string, error) {
	origin, tree, err := latest(from, vkey)
	if err != nil {
		return "", err
	}
	tiles := newTileCache(from)
	hashes := remember(tlog.TileHashReader(tree, tiles))
	read, err := readLog(from, tree.N)
	if err != nil {
		return "", err
	}
	if root := read.roots[tree.N]; root != tree.Hash {
		return "", fmt.Errorf("the entries lead to the root %v, the checkpoint has %v", root, tree.Hash)
	}
	included, err := count(tree.N, func(i int64) error { return checkRecord(tree, hashes, i, read.leaves[i]) })
	if err != nil {
		return "", err
	}
	consistent, err := count(tree.N, func(i int64) error { return checkTree(tree, hashes, i+1, read.roots[i+1]) })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d entries, %d inclusion proofs, %d consistency proofs, %d tiles, %d bundles",
		origin, len(read.leaves), included, consistent, len(tiles.tiles), read.bundles), nil
}

// latest opens the checkpoint with the one key that is trusted, and reads it.
func latest(from *source, vkey string) (string, tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	message, err := from.get("checkpoint", maxCheckpoint)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return "", tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	tree, err := parseCheckpoint(opened.Text, verifier.Name())
	return verifier.Name(), tree, err
}

// checkRecord proves from the tiles that a record is in the tree.
func checkRecord(tree tlog.Tree, hashes tlog.HashReader, index int64, leaf tlog.Hash) error {
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err == nil {
		err = tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf)
	}
	if err != nil {
		return fmt.Errorf("inclusion of entry %d: %w", index, err)
	}
	return nil
}

// checkTree proves from the tiles that the tree begins with the one of size `old`.
func checkTree(tree tlog.Tree, hashes tlog.HashReader, old int64, root tlog.Hash) error {
	proof, err := tlog.ProveTree(tree.N, old, hashes)
	if err == nil {
		err = tlog.CheckTree(proof, tree.N, tree.Hash, old, root)
	}
	if err != nil {
		return fmt.Errorf("consistency with size %d: %w", old, err)
	}
	return nil
}

// count runs a check for 0 to n-1, on every core, and gives how many held; or the error of one that did not.
func count(n int64, check func(int64) error) (int64, error) {
	workers := int64(runtime.GOMAXPROCS(0))
	held, failed := make([]int64, workers), make([]error, workers)
	var group sync.WaitGroup
	for w := int64(0); w < workers; w++ {
		group.Add(1)
		go func(w int64) {
			defer group.Done()
			for i := w; i < n && failed[w] == nil; i += workers {
				if failed[w] = check(i); failed[w] == nil {
					held[w]++
				}
			}
		}(w)
	}
	group.Wait()
	total := int64(0)
	for w := range held {
		if failed[w] != nil {
			return 0, failed[w]
		}
		total += held[w]
	}
	return total, nil
}
