package main

func Example() {
	main()
	// Output:
	// billed o-1
	// billed o-3
	// billing, 3 attempts, card has expired: {"ID":"o-2","Card":"expired"}
	// billed o-2
	// 4 deliveries: 3 done, 1 dead-lettered
}
